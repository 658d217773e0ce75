import { instant } from './instant.js';
import type { FaultKind } from './kind.js';
import { link } from './link.js';
import { persisted } from './persisted.js';

/** Every kind of fault, in the order in which the suite takes them. */
export const KINDS: readonly FaultKind[] = [persisted, instant, link];
