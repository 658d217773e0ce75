import { isIP } from 'node:net';

import { decisionRuleSchema, LIMITS, TributaryError, type DecisionRule } from '@tributary/proto';
import { z } from 'zod';

const port = z.int().min(0).max(65_535);

/** `serving` of agent.yaml. */
export const servingFile = z.strictObject({
  host: z.string().min(1).optional(),
  port: port.optional(),
  grpcPort: port.optional(),
  tokenFile: z.string().min(1).optional(),
  decisions: decisionRuleSchema.optional(),
  fits: z.array(z.string().min(1)).max(LIMITS.servedModels).default([]),
});

/** The local endpoint for predictions; its Unix socket is always there. */
export interface ServingConfig {
  readonly host: string;
  /** Of REST; not served over TCP where undefined. */
  readonly port: number | undefined;
  /** Not served where undefined. */
  readonly grpcPort: number | undefined;
  /** Absolute path of the file with the bearer token. */
  readonly tokenFile: string | undefined;
  /** What the log of the endpoint keeps, and for how long. */
  readonly decisions: DecisionRule;
  /** Absolute paths of what the training agent of the site exported, for a replica. */
  readonly fits: readonly string[];
}

const LOOPBACK = '127.0.0.1';

/** The endpoint that agent.yaml asks for. Throws CONFIG_INVALID where others could reach it without a token. */
export function servingConfigOf(
  given: z.infer<typeof servingFile> = { fits: [] },
  at: (path: string) => string,
): ServingConfig {
  const { host = LOOPBACK, tokenFile } = given;
  if (tokenFile === undefined && !isLoopback(host))
    throw new TributaryError(
      'CONFIG_INVALID',
      'serving.tokenFile: name a file with a token, or leave serving.host at 127.0.0.1',
      { fields: { field: 'serving.tokenFile' } },
    );
  return {
    host,
    port: given.port,
    grpcPort: given.grpcPort,
    tokenFile: tokenFile === undefined ? undefined : at(tokenFile),
    decisions: given.decisions ?? decisionRuleSchema.parse({}),
    fits: given.fits.map(at),
  };
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
