import { TributaryError, type ErrorCode } from '@tributary/proto';

type Reason = readonly [code: ErrorCode, text: string];

/** Reason codes of MQTT 5 that refuse (OASIS MQTT 5.0, 2.4). */
const REASONS: Readonly<Record<number, Reason>> = {
  0x80: ['UNAVAILABLE', 'unspecified error'],
  0x81: ['INTERNAL', 'malformed packet'],
  0x82: ['INTERNAL', 'protocol error'],
  0x83: ['UNAVAILABLE', 'implementation specific error'],
  0x84: ['CONFIG_INVALID', 'unsupported protocol version; set protocol'],
  0x85: ['CONFIG_INVALID', 'client identifier not valid; set clientId'],
  0x86: ['UNAUTHENTICATED', 'bad user name or password; check username and passwordFile'],
  0x87: ['PERMISSION_DENIED', 'not authorized; check username and passwordFile, or ask who runs the broker'],
  0x88: ['UNAVAILABLE', 'server unavailable'],
  0x89: ['UNAVAILABLE', 'server busy'],
  0x8a: ['PERMISSION_DENIED', 'banned'],
  0x8b: ['UNAVAILABLE', 'server shutting down'],
  0x8c: ['UNAUTHENTICATED', 'bad authentication method'],
  0x8d: ['UNAVAILABLE', 'keep alive timeout'],
  0x8e: ['CONFLICT', 'session taken over: somebody else connects with the same clientId'],
  0x8f: ['INVALID_ARGUMENT', 'topic filter invalid'],
  0x90: ['INVALID_ARGUMENT', 'topic name invalid'],
  0x93: ['INTERNAL', 'receive maximum exceeded'],
  0x95: ['LIMIT_EXCEEDED', 'packet too large'],
  0x96: ['OVERLOADED', 'message rate too high'],
  0x97: ['OVERLOADED', 'quota exceeded'],
  0x98: ['UNAVAILABLE', 'administrative action'],
  0x99: ['INVALID_ARGUMENT', 'payload format invalid'],
  0x9a: ['INVALID_ARGUMENT', 'retain not supported'],
  0x9b: ['INVALID_ARGUMENT', 'QoS not supported'],
  0x9c: ['UNAVAILABLE', 'use another server'],
  0x9d: ['UNAVAILABLE', 'server moved'],
  0x9e: ['INVALID_ARGUMENT', 'shared subscriptions not supported'],
  0x9f: ['OVERLOADED', 'connection rate exceeded'],
  0xa0: ['UNAVAILABLE', 'maximum connect time'],
  0xa2: ['INVALID_ARGUMENT', 'wildcard subscriptions not supported'],
};

/** Return codes of CONNACK of MQTT 3.1.1 (table 3.1), as those of MQTT 5. */
const OLD_RETURN_CODES: Readonly<Record<number, number>> = { 1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87 };

/** What a refusing reason code means. Texts of the broker are left out: nobody knows what they hold. */
export function refusedBy(broker: string, what: string, reasonCode: number): TributaryError {
  const known = REASONS[OLD_RETURN_CODES[reasonCode] ?? reasonCode];
  const [code, text] = known ?? ['UNAVAILABLE', `reason 0x${reasonCode.toString(16)}`];
  return new TributaryError(code, `broker ${broker} refused ${what}: ${text}`, {
    fields: { broker, reasonCode },
  });
}

/** A broker that pings back and leaves a request without an answer: a new connection may do better. */
export function unanswered(broker: string, what: string): TributaryError {
  return new TributaryError('DEADLINE_EXCEEDED', `broker ${broker} does not answer ${what}`, {
    fields: { broker },
  });
}

export const isRefusal = (reasonCode: number | undefined): reasonCode is number =>
  reasonCode !== undefined && reasonCode >= 0x80;
