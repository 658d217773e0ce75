import { TributaryError } from '@tributary/proto';
import { z } from 'zod';

const path = z.string().min(1);

/** `brokers[]` of agent.yaml. */
export const brokerFile = z.strictObject({
  name: z
    .string()
    .regex(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      'lower-case letters, digits and "-", 63 characters at most',
    ),
  url: z.string(),
  protocol: z.enum(['V3', 'V5']).default('V5'),
  clientId: z.string().min(1).max(200).optional(),
  username: z.string().min(1).optional(),
  passwordFile: path.optional(),
  caFile: path.optional(),
  certFile: path.optional(),
  keyFile: path.optional(),
});

type BrokerFile = z.infer<typeof brokerFile>;

/** An MQTT broker of the site. Files are absolute paths, read at each connection, so that secrets can be rotated. */
export interface BrokerConfig {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** mqtts: TLS 1.2 or later; the name of the host is verified. */
  readonly tls: boolean;
  /** MQTT 3.1.1 or 5. */
  readonly protocol: 'V3' | 'V5';
  /** Beginning of the client ids that the agent uses at this broker. */
  readonly clientId?: string;
  readonly username?: string;
  readonly passwordFile?: string;
  /** PEM; instead of the authorities that the system trusts. */
  readonly caFile?: string;
  /** PEM of the client certificate with its chain, and of its key. */
  readonly certFile?: string;
  readonly keyFile?: string;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883 };

/** The brokers that agent.yaml names; `at` makes a path of the file absolute. Throws CONFIG_INVALID naming the field. */
export function brokersOf(
  given: readonly BrokerFile[],
  at: (path: string) => string,
): readonly BrokerConfig[] {
  return given.map((broker, index) => {
    const field = `brokers.${String(index)}`;
    if (given.findIndex(({ name }) => name === broker.name) !== index)
      throw invalid(`${field}.name`, `${broker.name} occurs twice; give each broker its own name`);
    return brokerOf(broker, field, at);
  });
}

function brokerOf(broker: BrokerFile, field: string, at: (path: string) => string): BrokerConfig {
  const address = addressOf(broker.url, `${field}.url`);
  requireTogether(broker, field, address.tls);
  const { name, protocol, clientId, username } = broker;
  return {
    name,
    protocol,
    ...address,
    ...(clientId !== undefined && { clientId }),
    ...(username !== undefined && { username }),
    ...(broker.passwordFile !== undefined && { passwordFile: at(broker.passwordFile) }),
    ...(broker.caFile !== undefined && { caFile: at(broker.caFile) }),
    ...(broker.certFile !== undefined && { certFile: at(broker.certFile) }),
    ...(broker.keyFile !== undefined && { keyFile: at(broker.keyFile) }),
  };
}

/** The text of a URL may hold a password: errors never repeat it. */
function addressOf(text: string, field: string): Pick<BrokerConfig, 'host' | 'port' | 'tls'> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const port = DEFAULT_PORTS[url?.protocol ?? ''];
  if (url === undefined || port === undefined || url.hostname === '')
    throw invalid(field, 'write mqtt://host:port or mqtts://host:port');
  if (url.username !== '' || url.password !== '')
    throw invalid(field, 'write the user in username and the password into the file of passwordFile');
  if (!['', '/'].includes(url.pathname + url.search + url.hash))
    throw invalid(field, 'nothing follows the port');
  const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1');
  return { host, port: url.port === '' ? port : Number(url.port), tls: url.protocol === 'mqtts:' };
}

function requireTogether(broker: BrokerFile, field: string, tls: boolean): void {
  if (broker.passwordFile !== undefined && broker.username === undefined)
    throw invalid(`${field}.username`, 'is missing; a password goes with a user name');
  if ((broker.certFile === undefined) !== (broker.keyFile === undefined))
    throw invalid(`${field}.certFile`, 'give certFile and keyFile together, or neither');
  const file = (['caFile', 'certFile'] as const).find((name) => broker[name] !== undefined);
  if (!tls && file !== undefined)
    throw invalid(`${field}.${file}`, 'needs TLS; write mqtts:// in url, or remove it');
}

function invalid(field: string, fix: string): TributaryError {
  return new TributaryError('CONFIG_INVALID', `${field}: ${fix}`, { fields: { field } });
}
