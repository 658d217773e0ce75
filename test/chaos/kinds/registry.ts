import { again } from './again.js';
import { backup } from './backup.js';
import { clock } from './clock.js';
import { damage } from './damage.js';
import { disk } from './disk.js';
import { garbage } from './garbage.js';
import { instant } from './instant.js';
import type { FaultKind } from './kind.js';
import { link } from './link.js';
import { packets } from './packets.js';
import { persisted } from './persisted.js';
import { replay } from './replay.js';
import { trainer } from './trainer.js';

/** Every kind of fault, in the order in which the suite takes them. */
export const KINDS: readonly FaultKind[] = [
  persisted,
  instant,
  again,
  trainer,
  link,
  packets,
  disk,
  clock,
  replay,
  garbage,
  backup,
  damage,
];
