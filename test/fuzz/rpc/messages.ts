import type { MethodDefinition } from '@grpc/proto-loader';
import { packageDefinition } from '@tributary/proto/grpc';

import type { SeededRandom } from '../../support/seeded-random.js';
import {
  arbitraryMessage,
  mutateBytes,
  mutateMessage,
  type MessageType,
  type TypeTable,
} from '../mutations.js';

export type AnyMethod = MethodDefinition<object, object, object, object>;

const TYPES: TypeTable = new Map(
  Object.values(packageDefinition).flatMap((definition): [string, MessageType][] => {
    if (definition['format'] !== 'Protocol Buffer 3 DescriptorProto') return [];
    const type = definition['type'] as unknown as MessageType;
    return [[type.name, type]];
  }),
);

/** The bytes of a message that is wrong in some way: half of the time still protobuf of its type, otherwise damaged bytes. */
export function damagedMessage(random: SeededRandom, method: AnyMethod, recorded: object): Buffer {
  if (random.chance(0.5)) return mutateBytes(random, encode(method, recorded));
  const type = method.requestType.type as unknown as MessageType;
  const message = random.chance(0.4)
    ? arbitraryMessage(random, TYPES, type)
    : mutateMessage(random, recorded);
  try {
    return encode(method, message as object);
  } catch {
    // What the encoder refuses cannot be sent as protobuf.
    return mutateBytes(random, encode(method, recorded));
  }
}

export function encode(method: AnyMethod, message: object): Buffer {
  return method.requestSerialize(message);
}
