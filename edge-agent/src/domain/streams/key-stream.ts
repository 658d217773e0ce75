import { LIMITS, type StreamPipelineSpec } from '@tributary/proto';

import type { KeyStream } from './key-step.js';
import { initialKeyState, isOpen } from './key-state.js';
import { answerRecord } from './record-stream.js';
import { windowStream } from './window-stream.js';

/** Compiles the windows of a pipeline that parseStreamPipeline has checked; `pipeline` is its name. */
export function compileKeyStream(pipeline: string, { window }: StreamPipelineSpec): KeyStream {
  const stream: Pick<KeyStream, 'initial' | 'step'> =
    window.type === 'Record'
      ? {
          initial: initialKeyState(null),
          step: (key, state, event) =>
            event.type === 'Item' ? answerRecord(pipeline, key, state, event) : { state, effects: [] },
        }
      : windowStream(pipeline, window);
  return {
    ...stream,
    isForgettable: (state, nowMs) => nowMs - state.arrivalMs > LIMITS.streamForgetMs && !isOpen(state),
  };
}
