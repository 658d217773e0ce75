import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { LIMITS } from '@tributary/proto';
import { LOAD_LIMITS } from '@tributary/proto/internal/load-limits.js';
import { limitRows, limitsDocumentation } from '@tributary/proto/internal/limits-documentation.js';

import { repositoryRoot } from '../../support/daemon.js';

const read = (path: string): string => readFileSync(join(repositoryRoot, path), 'utf8');
const LOAD = 'proto/src/load-limits.ts';
const SIZES = 'proto/src/limits.ts';

/** Constants that look like a deadline or a bound and are none, with what they are. */
const NO_BOUNDS: Readonly<Record<string, string>> = {
  BUSY_MS: 'how often something is looked at',
  IDLE_MS: 'how often something is looked at',
  TICK_MS: 'how often something is looked at',
  LEAST_TICK_MS: 'how often something is looked at',
  SWEEP_MS: 'how often something is looked at',
  LOOK_MS: 'how often something is looked at',
  SHORTEST_REST_MS: 'the pace of a training',
  LONGEST_SLEEP_MS: 'the pace of a training',
  LONGEST_DELAY_MS: 'what a timer can hold',
  MAX_TIMER_MS: 'what a timer can hold',
  PATIENCE_MS: 'how long a shell waits for names',
  STATUS_MS: 'how long a person waits for what a running agent says',
  SLOW_SYNC_MS: 'what a person is told of a disk',
  DAY_MS: 'a unit',
  YEAR_MS: 'a unit',
  MESSAGES_AHEAD: 'the high-water mark of streams of objects, of which LIMITS cannot speak before it is set',
  MODELS_KEPT: 'a cache of measurements',
};

const BOUND =
  /^(?:export )?const ([A-Z][A-Z0-9_]*(?:_MS|_HOUR|WAITING|KEPT|AHEAD|TOGETHER|REMEMBERED|TOLD|CONNECTIONS|PENDING|QUEUED)|[A-Z_]*_PER_[A-Z_]*) = [0-9]/gm;
/** A deadline that is written where it is used: `setTimeout(f, 500)`, `requestTimeout: 5_000`, `maxConnections = 32`. */
const BARE =
  /\bset(?:Timeout|Interval)\([^;]*, [1-9][0-9_]*\)|[tT]imeout: [1-9][0-9_]*|maxConnections(?: =|:) [0-9]/g;

/** Sources that hold queues and deadlines: the domain has none but LIMITS, and the command line ends with its command. */
function sources(): readonly string[] {
  return ['coordinator', 'edge-agent'].flatMap((side) =>
    ['app', 'adapters', 'commands'].flatMap((folder) =>
      readdirSync(join(repositoryRoot, side, 'src', folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => join(side, 'src', folder, name)),
    ),
  );
}

describe('limits', () => {
  it('are in step with LIMITS.md', () => {
    assert.equal(
      read('proto/LIMITS.md'),
      limitsDocumentation(read(LOAD), read(SIZES)),
      'run npm run document -w proto',
    );
  });

  it('have a reason each, and those of load say what happens when they are reached', () => {
    const load = limitRows(read(LOAD));
    const sizes = limitRows(read(SIZES));
    assert.deepEqual(load.map(({ name }) => name).sort(), Object.keys(LOAD_LIMITS).sort());
    assert.deepEqual([...load, ...sizes].map(({ name }) => name).sort(), Object.keys(LIMITS).sort());
    for (const { name, reason } of [...load, ...sizes]) assert.match(reason, /\w{3}/, name);
    for (const { name, then } of load) assert.match(then, /\w{3}.*\.$/, name);
    for (const { name, then } of sizes) assert.equal(then, '', `${name} belongs into load-limits.ts`);
  });

  it('that a name calls a time or a rate say the unit', () => {
    for (const { name, reason } of limitRows(read(LOAD)))
      if (name.endsWith('Ms')) assert.match(reason, /Milliseconds|wait/i, `${name}: ${reason}`);
  });

  it('are the only bounds of queues, tables and deadlines', () => {
    const found: string[] = [];
    for (const path of sources()) {
      const text = read(path);
      for (const [, name = ''] of text.matchAll(BOUND))
        if (NO_BOUNDS[name] === undefined) found.push(`${path}: ${name}`);
      for (const [words] of text.matchAll(BARE)) found.push(`${path}: ${words}`);
    }
    assert.deepEqual(found, [], 'move these into proto/src/load-limits.ts');
  });
});
