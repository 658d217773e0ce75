import { readFile } from 'node:fs/promises';

import { TributaryError, type StreamPipeline } from '@tributary/proto';

import { lookAtBroker } from '../../adapters/mqtt/broker-look.js';
import { systemClock } from '../../adapters/system/clock.js';
import { systemRandom } from '../../adapters/system/random.js';
import { certificatesOf } from '../../adapters/tls/server-look.js';
import type { BrokerConfig } from '../../broker-config.js';
import { failedLine, okLine, type CheckLine } from '../../domain/site-check/check-line.js';
import { faultLine } from './bounded-look.js';

/** Whether a broker takes the agent, and lets it read what the pipelines ask for. */
export async function brokerCheck(
  broker: BrokerConfig,
  pipelines: readonly StreamPipeline[],
  signal: AbortSignal,
): Promise<CheckLine> {
  const check = `broker/${broker.name}`;
  const topics = topicsOf(broker.name, pipelines);
  const id = Buffer.from(systemRandom.bytes(6)).toString('hex');
  const clientId = `${broker.clientId ?? 'tributary'}-check-${id}`;
  const at = `${broker.host}:${String(broker.port)}${broker.tls ? ' with TLS' : ''}`;
  try {
    const { refused } = await lookAtBroker(broker, clientId, topics, { clock: systemClock, signal });
    if (refused.length > 0)
      return failedLine(
        check,
        `${at} refuses the subscription to ${refused.join(', ')}`,
        `allow user ${broker.username ?? 'anonymous'} to read it (an ACL of the broker)`,
      );
    // Mosquitto's file of ACLs holds back messages, and refuses no subscription.
    const read = topics.length === 0 ? '' : ` and its subscriptions`;
    return okLine(
      check,
      `${at} takes the agent${read}; what an ACL holds back shows only when messages come`,
    );
  } catch (error) {
    if (broker.caFile !== undefined && (await isWithoutCertificates(broker.caFile)))
      return failedLine(
        check,
        `${broker.caFile} holds no certificate`,
        'correct brokers[].caFile; it is PEM, with BEGIN CERTIFICATE lines',
      );
    return brokerFault(check, broker, error);
  }
}

function brokerFault(check: string, { tls, username }: BrokerConfig, error: unknown): CheckLine {
  const { code, message, cause } = TributaryError.from(error);
  const [found, fix] = FAULTS[(cause as NodeJS.ErrnoException | undefined)?.code ?? ''] ?? [];
  if (found !== undefined && fix !== undefined) return failedLine(check, `${message}: ${found}`, fix);
  if (code === 'UNAUTHENTICATED' || code === 'PERMISSION_DENIED')
    return failedLine(
      check,
      message,
      username === undefined
        ? 'set brokers[].username and brokers[].passwordFile'
        : 'correct brokers[].username and the file of brokers[].passwordFile; the log of the broker says more',
    );
  if (code === 'CONFIG_INVALID') return faultLine(check, error);
  const [has, scheme] = tls ? ['no TLS', 'mqtt'] : ['TLS', 'mqtts'];
  const guess = `; where its listener has ${has}, write ${scheme}:// in brokers[].url`;
  return faultLine(check, error, `see the log of the broker${guess}`);
}

/** Node takes such a file for no authority at all, and says so of the broker. */
const isWithoutCertificates = (path: string): Promise<boolean> =>
  readFile(path, 'utf8').then(
    (text) => certificatesOf(text).length === 0,
    () => false,
  );

type Fault = readonly [found: string, fix: string];

const NOT_TRUSTED: Fault = [
  'no authority that is trusted here issued its certificate',
  'name the authority of the broker in brokers[].caFile',
];
const NO_ROUTE: Fault = [
  'no route leads there',
  'correct brokers[].url; check gateway and subnet of this machine',
];
const NO_CERTIFICATE: Fault = [
  'it takes nobody without a client certificate',
  'set brokers[].certFile and brokers[].keyFile',
];
const STRANGER: Fault = [
  'it does not trust the client certificate',
  'ask who runs the broker which authority it takes, and correct brokers[].certFile',
];

/** By Node's code of the cause. */
const FAULTS: Readonly<Partial<Record<string, Fault>>> = {
  ECONNREFUSED: ['nobody listens there', 'correct brokers[].url, and see that the broker runs'],
  ENOTFOUND: ['the name is not known', 'correct brokers[].url'],
  EAI_AGAIN: [
    'the name server does not answer',
    'check /etc/resolv.conf; in a pod whether CoreDNS runs and NetworkPolicies let port 53 out',
  ],
  EHOSTUNREACH: NO_ROUTE,
  ENETUNREACH: NO_ROUTE,
  SELF_SIGNED_CERT_IN_CHAIN: NOT_TRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NOT_TRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NOT_TRUSTED,
  CERT_HAS_EXPIRED: ['its certificate has expired', 'renew the certificate of the broker, or set the clock'],
  CERT_NOT_YET_VALID: [
    'its certificate begins in the future',
    'set the clock of this machine (see its line), or wait until the certificate begins',
  ],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'its certificate is for another name',
    'write in brokers[].url the name that the certificate has',
  ],
  ERR_SSL_WRONG_VERSION_NUMBER: [
    'it speaks no TLS on that port',
    'write mqtt://, or the port of its TLS listener',
  ],
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: NO_CERTIFICATE,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: NO_CERTIFICATE,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: STRANGER,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: STRANGER,
};

/** Filters as they are sent: {name} stands for one level. */
const topicsOf = (broker: string, pipelines: readonly StreamPipeline[]): readonly string[] => [
  ...new Set(
    pipelines
      .filter(({ spec }) => spec.source.broker === broker)
      .flatMap(({ spec }) => spec.source.topics.map((topic) => topic.replace(/\{[^}/]*\}/g, '+'))),
  ),
];
