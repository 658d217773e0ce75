import { fileURLToPath } from 'node:url';

import {
  loadPackageDefinition,
  type Client,
  type ClientOptions,
  type ChannelCredentials,
} from '@grpc/grpc-js';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';

import type { AdminClient, AdminDefinition } from '../gen/tributary/v1/Admin.js';
import type { EnrolmentClient, EnrolmentDefinition } from '../gen/tributary/v1/Enrolment.js';
import type { FleetClient, FleetDefinition } from '../gen/tributary/v1/Fleet.js';
import type { LedgerClient, LedgerDefinition } from '../gen/tributary/v1/Ledger.js';

/** A loaded service: construct it for a client, give `service` to a server or to a generic call. */
export interface Service<C extends Client, Definition> {
  new (address: string, credentials: ChannelCredentials, options?: ClientOptions): C;
  readonly service: Definition;
}

/** Folder that holds tributary/v1/*.proto: the root of this package, beside dist/. */
export const protoRoot = fileURLToPath(new URL('../..', import.meta.url));

/** The definition behind the services; server reflection wants it. 64-bit numbers and enums arrive as strings. */
export const packageDefinition: PackageDefinition = loadSync(
  ['admin', 'enrolment', 'fleet', 'ledger'].map((name) => `tributary/v1/${name}.proto`),
  { includeDirs: [protoRoot], longs: String, enums: String, defaults: true, oneofs: true },
);

interface Loaded {
  readonly tributary: {
    readonly v1: {
      readonly Admin: Service<AdminClient, AdminDefinition>;
      readonly Enrolment: Service<EnrolmentClient, EnrolmentDefinition>;
      readonly Fleet: Service<FleetClient, FleetDefinition>;
      readonly Ledger: Service<LedgerClient, LedgerDefinition>;
    };
  };
}

// The loader types its result loosely; the generated definitions come from the same files.
const loaded = loadPackageDefinition(packageDefinition) as unknown as Loaded;

export const { Admin, Enrolment, Fleet, Ledger } = loaded.tributary.v1;
