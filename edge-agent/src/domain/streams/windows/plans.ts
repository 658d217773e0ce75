import type { TimeWindowSpec } from '@tributary/proto';

import { alignedPlan } from './aligned.js';
import { eventPlan } from './event.js';
import { sessionPlan } from './session.js';
import type { WindowPlan } from './window-plan.js';

/** The plan of a window type. */
export function planFor(window: TimeWindowSpec): WindowPlan {
  switch (window.type) {
    case 'Tumbling':
      return alignedPlan(window.sizeMs, window.sizeMs);
    case 'Sliding':
      return alignedPlan(window.sizeMs, window.stepMs);
    case 'Session':
      return sessionPlan(window.gapMs, window.maximumMs);
    case 'Event':
      return eventPlan(window.trigger);
  }
}
