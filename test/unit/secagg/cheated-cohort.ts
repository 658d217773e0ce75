import { TributaryError } from '@tributary/proto';

import { createWorld } from './secure-cohort.js';

/** The cohort that cheats are tried on. */
export const AGENTS = 5;
export const CLIP = 4;
export const world = createWorld({ agents: AGENTS, colluders: 1 }, 21);
export const { roster, parties, expected } = world;
const [first, second, third] = parties;
if (first === undefined || second === undefined || third === undefined) throw new Error('a cohort of five');
export const [alice, bob, carol] = [first, second, third];

/** A SECAGG_MESSAGE_INVALID that names that agent in its fields. */
export const blames =
  (agentId: string, text?: RegExp) =>
  (error: unknown): boolean =>
    error instanceof TributaryError &&
    error.code === 'SECAGG_MESSAGE_INVALID' &&
    error.fields['agentId'] === agentId &&
    (text?.test(error.message) ?? true);

/** A copy with one bit flipped. */
export const flip = (bytes: Uint8Array, bit: number): Uint8Array => {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
};
