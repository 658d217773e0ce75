import type { Row } from '@tributary/proto';
import type { StreamMessage } from '@tributary/edge-agent/internal/domain/streams/payload/message.js';

import { play } from '../../support/stream-pipeline.js';
import type { PlannedPipeline } from './planned-pipeline.js';

export interface ExpectedWindow {
  readonly row: Row;
  /** Position of the message that completes it. */
  readonly message: number;
}

/** The windows that messages make by the rules alone, without brokers, restarts or clocks: by their decision ids. */
export function expectedWindows(
  { document }: PlannedPipeline,
  messages: readonly StreamMessage[],
): ReadonlyMap<string, ExpectedWindow> {
  const { effects } = play(document, messages, { flush: false });
  const expected = new Map<string, ExpectedWindow>();
  let open: { readonly id: string; readonly row: Row }[] = [];
  for (const effect of effects) {
    if (effect.type === 'Decide') open.push(effect.decision);
    if (effect.type !== 'Completed') continue;
    for (const { id, row } of open) expected.set(id, { row, message: effect.input });
    open = [];
  }
  return expected;
}
