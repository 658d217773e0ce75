import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ERROR_CODES, ERROR_TABLE, LIMITS, type ErrorCode } from '@tributary/proto';
import { afterLinkFailure } from '@tributary/edge-agent/internal/domain/link.js';

import { commandFault } from '../support/command-trees.js';
import { repositoryRoot } from '../support/daemon.js';
import { unitFiles, type UnitFile } from '../support/unit-files.js';

const UNITS = unitFiles();
const read = (path: string): string => readFileSync(join(repositoryRoot, path), 'utf8');

const codesOf = (unit: UnitFile): readonly (ErrorCode | undefined)[] =>
  unit
    .values('RestartPreventExitStatus')
    .flatMap((value) => value.split(' '))
    .map((exit) => ERROR_CODES.find((code) => String(ERROR_TABLE[code].exit) === exit));

describe('deploy/systemd', () => {
  it('has the three daemons', () => {
    assert.deepEqual(UNITS.map(({ name }) => name).sort(), [
      'tributary-agent.service',
      'tributary-coordinator.service',
      'tributary-replica@.service',
    ]);
  });

  for (const unit of UNITS) {
    describe(unit.name, () => {
      it('starts a command that exists, with options that it has', () => {
        const [line = ''] = unit.values('ExecStart');
        const command = line.replace('/opt/tributary/node_modules/.bin/', '');
        assert.match(command, /^tributary-(?:coordinator|agent) (?:run|serve) --/);
        assert.equal(commandFault(command), undefined);
      });

      it('keeps its data and its sealing key where the command is told', () => {
        const [state = ''] = unit.values('StateDirectory');
        assert.ok(unit.values('ExecStart')[0]?.includes(`--data %S/${state}/`));
        assert.match(unit.values('LoadCredential')[0] ?? '', /^seal\.key:\/etc\/tributary\/.*seal\.key$/);
        assert.match(unit.text, /\$\{CREDENTIALS_DIRECTORY\}\/seal\.key|%d\/seal\.key/);
      });

      it('sets only variables that the configuration reads', () => {
        const known = read('coordinator/src/config.ts') + read('edge-agent/src/config.ts');
        const named = unit.text.match(/TRIBUTARY_[A-Z_]+/g) ?? [];
        assert.ok(named.length > 0);
        for (const variable of named) assert.ok(known.includes(`'${variable}'`), variable);
      });

      it('is not restarted where no restart helps, and says which codes these are', () => {
        const codes = codesOf(unit);
        assert.ok(codes.length > 4);
        for (const code of codes) {
          assert.ok(code !== undefined, 'an exit code that the table does not have');
          assert.equal(ERROR_TABLE[code].retryable, false, code);
          assert.ok(unit.text.includes(`${String(ERROR_TABLE[code].exit)} ${code}`), code);
        }
        if (unit.name.includes('coordinator')) return;
        const final = ERROR_CODES.filter((code) => afterLinkFailure(code, '', 0, 0).next === 'End');
        assert.deepEqual([...codes].sort(), [...final, 'CONFIG_INVALID', 'USAGE'].sort());
      });

      it('has more time to stop than the drain takes', () => {
        const seconds = Number(unit.values('TimeoutStopSec')[0]);
        assert.ok(seconds * 1_000 > LIMITS.drainMs + 5_000);
      });

      it('asks for no watchdog, which the daemons do not feed', () => {
        assert.deepEqual(unit.values('WatchdogSec'), []);
        assert.deepEqual(unit.values('Type'), ['simple']);
      });
    });
  }

  it('is described with commands that exist', () => {
    const text = read('deploy/systemd/README.md').replaceAll('\\\n', '');
    const commands = [...text.matchAll(/(?:node_modules\/\.bin\/|`)(tributary[a-z-]* [^`\n]*)/g)];
    assert.ok(commands.length > 5);
    for (const [, command = ''] of commands) {
      const [words = ''] = command.split(', ');
      assert.equal(commandFault(words.trim()), undefined);
    }
  });
});
