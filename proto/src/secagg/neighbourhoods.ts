import { requireLength } from '../byte-text.js';
import { TributaryError } from '../errors/tributary-error.js';
import { Keystream, STREAM_KEY_BYTES } from './mask-stream.js';
import type { Topology } from './plan.js';

/** Who masks with whom, and who holds whose shares. */
export interface Neighbourhoods {
  /** Peers that an agent has a common mask with, ascending, without itself. */
  neighboursOf(agentId: string): readonly string[];
  /**
   * Who holds shares of an agent's secrets, ascending: on the complete graph everybody, the agent too, so that any t
   * survivors recover its seed; its neighbours on a k-regular one.
   */
  holdersOf(agentId: string): readonly string[];
}

/**
 * The graph of a round. A k-regular one is circulant on a random placing of the agents (the even Harary graph): each is
 * connected to the k/2 places on both sides. The placing follows from a 32-byte public seed, so that all compute the same;
 * whoever chooses the seed places colluders where it likes. `agentIds` are ascending and distinct.
 */
export function neighbourhoods(
  topology: Topology,
  agentIds: readonly string[],
  seed: Uint8Array,
): Neighbourhoods {
  if (topology.type === 'Complete' || topology.neighbours >= agentIds.length - 1) {
    return {
      neighboursOf: (agentId) => {
        requireMember(agentIds, agentId);
        return agentIds.filter((other) => other !== agentId);
      },
      holdersOf: (agentId) => {
        requireMember(agentIds, agentId);
        return agentIds;
      },
    };
  }
  const placed = shuffled(agentIds, seed);
  const places = new Map(placed.map((agentId, place) => [agentId, place]));
  const neighboursOf = (agentId: string): readonly string[] => {
    const place = places.get(requireMember(agentIds, agentId)) ?? 0;
    const around = [];
    for (let step = 1; step <= topology.neighbours / 2; step += 1)
      around.push(placed.at((place + step) % placed.length), placed.at((place - step) % placed.length));
    return around.filter((other) => other !== undefined).sort();
  };
  return { neighboursOf, holdersOf: neighboursOf };
}

function requireMember(agentIds: readonly string[], agentId: string): string {
  if (agentIds.includes(agentId)) return agentId;
  throw new TributaryError('NOT_IN_COHORT', `${agentId} is not in the roster of this round`);
}

/** Fisher-Yates over a keystream of the seed, each index without bias. */
export function shuffled<T>(items: readonly T[], seed: Uint8Array): readonly T[] {
  const stream = new Keystream(requireLength(seed, STREAM_KEY_BYTES, 'graph seed'));
  const below = (end: number): number => {
    const most = Math.floor(2 ** 32 / end) * end;
    for (;;) {
      const word = Buffer.from(stream.next(4)).readUInt32LE();
      if (word < most) return word % end;
    }
  };
  const placed = [...items];
  for (let last = placed.length - 1; last > 0; last -= 1) {
    const other = below(last + 1);
    const [there, here] = [placed[other] as T, placed[last] as T];
    [placed[last], placed[other]] = [there, here];
  }
  return placed;
}
