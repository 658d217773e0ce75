import type { StreamTimeSpec } from '@tributary/proto';

import { compilePath } from '../data-path.js';
import { fault, type Fault } from '../fault.js';
import { readInstant } from '../instant.js';
import type { Captures } from '../topic-matching.js';
import type { StreamMessage } from './message.js';

/** The time that a message names itself; undefined where that of its arrival counts. */
export type TimeReader = (
  message: StreamMessage,
  captures: Captures,
  value: unknown,
) => number | undefined | Fault;

/** Compiles where the time stands. */
export function compileTime(time: StreamTimeSpec): TimeReader {
  switch (time.type) {
    case 'Arrival':
      return () => undefined;
    case 'Path': {
      const read = compilePath(time.path);
      return (_, __, value) => readInstant(read(value), time.unit) ?? fault('NoTime', time.path);
    }
    case 'Capture':
      return (_, captures) => readInstant(captures[time.capture], time.unit) ?? fault('NoTime', time.capture);
    case 'Property':
      return ({ properties }) =>
        readInstant(ownText(properties, time.property), time.unit) ?? fault('NoTime', time.property);
  }
}

function ownText(record: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
