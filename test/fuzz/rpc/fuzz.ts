import type { Client } from '@grpc/grpc-js';

import { SeededRandom } from '../../support/seeded-random.js';
import { send } from './calls.js';
import type { AnyMethod } from './messages.js';

/** One method to be fuzzed. */
export interface RpcTarget {
  readonly title: string;
  readonly client: Client;
  readonly method: AnyMethod;
  /** Calls at the same time. */
  readonly parallel: number;
  /** The messages of the next call, and how many of them are damaged. */
  draw(random: SeededRandom): { readonly messages: readonly Buffer[]; readonly damaged: number };
  /** Called with the code of each refused call; the next call waits for it. */
  refused?(code: string): Promise<void>;
  before?(): void;
  after?(): void;
}

export interface RpcReport {
  readonly title: string;
  readonly messages: number;
  readonly answered: number;
  /** Refused calls by code. */
  readonly refused: ReadonlyMap<string, number>;
  /** What must be mended, with the messages that brought it about. */
  readonly findings: readonly string[];
  readonly seconds: number;
}

/** Sends `perRpc` damaged messages to a method. The same seed sends the same messages. */
export async function fuzzRpc(target: RpcTarget, perRpc: number, seed: number): Promise<RpcReport> {
  const random = new SeededRandom(seed);
  const refused = new Map<string, number>();
  const findings: string[] = [];
  const start = performance.now();
  let [messages, answered] = [0, 0];
  const worker = async (): Promise<void> => {
    while (messages < perRpc && findings.length < 20) {
      const drawn = target.draw(random);
      messages += drawn.damaged;
      const outcome = await send(target.client, target.method, drawn.messages);
      if ('answered' in outcome) answered += 1;
      else if ('refusal' in outcome) {
        refused.set(outcome.refusal, (refused.get(outcome.refusal) ?? 0) + 1);
        await target.refused?.(outcome.refusal);
      } else
        findings.push(
          `${outcome.finding} for ${drawn.messages.map((message) => message.toString('base64')).join(' ')}`,
        );
    }
  };
  target.before?.();
  try {
    await Promise.all(Array.from({ length: target.parallel }, worker));
  } finally {
    target.after?.();
  }
  return {
    title: target.title,
    messages,
    answered,
    refused,
    findings,
    seconds: (performance.now() - start) / 1_000,
  };
}

export function reportLine({ title, messages, answered, refused, findings, seconds }: RpcReport): string {
  const codes = [...refused]
    .sort(([, one], [, other]) => other - one)
    .map(([code, count]) => `${code} ${String(count)}`);
  return `${title.padEnd(28)} ${String(messages).padStart(8)} ${seconds.toFixed(1).padStart(7)} s  ${String(answered).padStart(7)} answered  ${String(findings.length)} findings  ${codes.join(', ')}`;
}
