import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { LIMITS } from '@tributary/proto';
import { LOAD_LIMITS } from '@tributary/proto/internal/load-limits.js';
import { limitRows, limitsDocumentation } from '@tributary/proto/internal/limits-documentation.js';
import { TABLE_LIMITS } from '@tributary/proto/internal/table-limits.js';

import { repositoryRoot } from '../../support/daemon.js';

const read = (path: string): string => readFileSync(join(repositoryRoot, path), 'utf8');
const LOAD = 'proto/src/load-limits.ts';
const TABLES = 'proto/src/table-limits.ts';
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
  NEWEST_READ: 'a version of a format',
  YEAR_MS: 'a unit',
  MESSAGES_AHEAD: 'the high-water mark of streams of objects, of which LIMITS cannot speak before it is set',
  MOST_FILLED: 'which kernel multiplies',
  MOST_MISSED_MS: 'how hearts beat',
  KEPT_INTERVALS: 'how hearts beat',
  KEPT_CANDIDATES: 'how hearts beat',
  DAYS_AHEAD: 'a week of a schedule',
  TOLD_LOSSES: 'how many a sentence names',
  TOLD_SITES: 'how many a sentence names',
};

const DECLARED = /^(?:export )?const ([A-Z][A-Z0-9_]*)(?:: number)? = [0-9](?!.*LIMITS)/gm;
/** Words in the names of bounds of tables and queues. */
const COUNT =
  /(?:^|_)(?:WAITING|KEPT|AHEAD|TOGETHER|REMEMBERED|TOLD|RECENT|NEWEST|MOST|LINES|CONNECTIONS|PENDING|QUEUED|PER|HOUR)(?:_|$)/;
/** And of deadlines, which the domain has none of: it has no clock. */
const DEADLINE = /_MS$/;
/** A deadline that is written where it is used: `setTimeout(f, 500)`, `requestTimeout: 5_000`, `maxConnections = 32`. */
const BARE =
  /\bset(?:Timeout|Interval)\([^;]*, [1-9][0-9_]*\)|[tT]imeout: [1-9][0-9_]*|maxConnections(?: =|:) [0-9]/g;

/** Sources that hold tables, queues and deadlines: the command line ends with its command. */
function sources(): readonly string[] {
  return ['coordinator', 'edge-agent'].flatMap((side) =>
    ['app', 'adapters', 'commands', 'domain'].flatMap((folder) =>
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
      limitsDocumentation(read(LOAD), read(TABLES), read(SIZES)),
      'run npm run document -w proto',
    );
  });

  it('have a reason each, and those of load say what happens when they are reached', () => {
    const load = [...limitRows(read(LOAD)), ...limitRows(read(TABLES))];
    const sizes = limitRows(read(SIZES));
    assert.deepEqual(
      load.map(({ name }) => name).sort(),
      Object.keys({ ...LOAD_LIMITS, ...TABLE_LIMITS }).sort(),
    );
    assert.deepEqual([...load, ...sizes].map(({ name }) => name).sort(), Object.keys(LIMITS).sort());
    for (const { name, reason } of [...load, ...sizes]) assert.match(reason, /\w{3}/, name);
    for (const { name, then } of load) assert.match(then, /\w{3}.*\.$/, name);
    for (const { name, then } of sizes)
      assert.equal(then, '', `${name} belongs into load-limits.ts or table-limits.ts`);
  });

  it('that a name calls a time or a rate say the unit', () => {
    for (const { name, reason } of limitRows(read(LOAD)))
      if (name.endsWith('Ms')) assert.match(reason, /Milliseconds|wait/i, `${name}: ${reason}`);
  });

  it('are the only bounds of queues, tables and deadlines', () => {
    const found: string[] = [];
    for (const path of sources()) {
      const text = read(path);
      const isBound = (name: string): boolean =>
        COUNT.test(name) || (DEADLINE.test(name) && !path.includes('/src/domain/'));
      for (const [, name = ''] of text.matchAll(DECLARED))
        if (isBound(name) && NO_BOUNDS[name] === undefined) found.push(`${path}: ${name}`);
      for (const [words] of text.matchAll(BARE)) found.push(`${path}: ${words}`);
    }
    assert.deepEqual(found, [], 'move these into proto/src/load-limits.ts or table-limits.ts');
  });
});
