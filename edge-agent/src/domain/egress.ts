/** Kinds of bytes that leave the site: updates, and everything that is said around them. */
export type EgressKind = 'update' | 'control';

/** Bytes by kind since the agent joined; payloads of messages, without the framing of gRPC, HTTP/2 and TLS. */
export type Egress = Readonly<Record<EgressKind, bigint>>;

export const NO_EGRESS: Egress = Object.freeze({ update: 0n, control: 0n });

export function addEgress(egress: Egress, kind: EgressKind, bytes: number): Egress {
  return { ...egress, [kind]: egress[kind] + BigInt(bytes) };
}
