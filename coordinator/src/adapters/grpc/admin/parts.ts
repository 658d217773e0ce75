import type { ConnectedAgents } from '../../../app/connections.js';
import type { Federation } from '../../../app/federation.js';
import type { BlobStore, Clock, Random } from '../../../ports.js';
import type { LogBuffer } from '../../logs/log-buffer.js';
import type { CertificateAuthority } from '../../pki/certificate-authority.js';
import type { Calls } from '../calls.js';
import type { Callers } from '../caller.js';

/** What the admin service is built from. */
export interface AdminParts {
  readonly federation: Federation;
  readonly agents: ConnectedAgents;
  readonly blobs: Pick<BlobStore, 'read' | 'size'>;
  readonly authority: CertificateAuthority;
  readonly logs: LogBuffer;
  readonly callers: Callers;
  readonly calls: Calls;
  readonly clock: Clock;
  readonly random: Random;
  /** host:port of the enrol listener, as agents reach it: part of join tokens. */
  readonly enrolAddress: () => string;
  /** A consistent backup of everything durable, as a tar stream. */
  readonly backup: () => AsyncIterable<Uint8Array>;
}
