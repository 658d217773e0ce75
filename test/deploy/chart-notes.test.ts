import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { commandFault } from '../support/command-trees.js';
import { chartFolder, helm, type ChartName, type Values } from '../support/kube/charts.js';
import { GENERATIONS, toolsOf, WHY_SKIPPED, type Generation } from '../support/kube/tools.js';
import { Emulator } from '../support/kube-api/emulator.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const TRAEFIK = {
  traefik: { enabled: true },
  advertise: { fleet: 'fleet.example.org:443', enrol: 'enrol.example.org:443' },
};

/** Lines that are commands: those that begin two spaces in. */
const commandsOf = (notes: string): readonly string[] =>
  notes.split('\n').flatMap((line) => /^ {2}(\S.*)$/.exec(line)?.[1] ?? []);

const first = GENERATIONS.find((generation) => toolsOf(generation) !== undefined);

describe('notes of the charts', function () {
  this.timeout(60_000);
  /** helm 3 asks a cluster for its version, whatever it prints. */
  let emulator: Emulator | undefined;
  before(async () => {
    if (first !== undefined) emulator = await Emulator.start();
  });
  after(() => emulator?.stop());

  /** What helm prints of a release at its installation, without a cluster. */
  const notesOf = async (generation: Generation, chart: ChartName, values: Values): Promise<string> => {
    const given =
      chart === 'tributary-agent' ? values : { federation: { host: 'hub.example.org' }, ...values };
    const args = ['install', 'hub', chartFolder(chart), '-n', 'tributary', '--dry-run=client'];
    const { code, stdout, stderr } = await helm(generation, args, given, {
      KUBECONFIG: emulator?.kubeconfig ?? '',
    });
    assert.equal(code, 0, stderr);
    const [, notes] = /^NOTES:\n([^]*)$/m.exec(stdout) ?? [];
    assert.ok(notes !== undefined, stdout);
    return notes;
  };

  for (const generation of GENERATIONS) {
    const missing = toolsOf(generation) === undefined;
    describe(`with ${generation}${missing ? WHY_SKIPPED : ''}`, function () {
      this.timeout(60_000);
      before(function () {
        if (missing) this.skip();
      });

      it('name where agents, operators and tunnels are dialled', async () => {
        const direct = await notesOf(generation, 'tributary-coordinator', { tunnel: { enabled: true } });
        assert.match(direct, /Agents dial hub\.example\.org:7443 and hub\.example\.org:7444/);
        assert.match(direct, /operators hub\.example\.org:7445/);
        assert.match(direct, /coordinator: \{ tunnel: 'hub\.example\.org:7448' \}/);
        const routed = await notesOf(generation, 'tributary-coordinator', {
          tunnel: { enabled: true },
          advertise: { tunnel: 'tunnel.example.org:443' },
        });
        assert.match(routed, /coordinator: \{ tunnel: 'tunnel\.example\.org:443' \}/);
        assert.doesNotMatch(await notesOf(generation, 'tributary-coordinator', {}), /tunnel|Traefik/);
      });

      it('say that nobody is told of node ports', async () => {
        const nodePort = { service: { type: 'NodePort' } };
        const notes = (values: Values): Promise<string> =>
          notesOf(generation, 'tributary-coordinator', { ...nodePort, ...values });
        assert.match(
          await notes({}),
          /set advertise\.fleet, advertise\.enrol, advertise\.admin to HOST:NODEPORT/,
        );
        const advertise = { fleet: 'h:30443', enrol: 'h:30444', admin: 'h:30445' };
        assert.doesNotMatch(await notes({ advertise }), /NODEPORT/);
        assert.match(await notes({ advertise, tunnel: { enabled: true } }), /set advertise\.tunnel to/);
      });

      it('say what Traefik has no route for', async () => {
        const notes = (values: Values): Promise<string> =>
          notesOf(generation, 'tributary-coordinator', values);
        assert.match(await notes(TRAEFIK), /no route for advertise\.admin, which is empty/);
        const all = { ...TRAEFIK, tunnel: { enabled: true } };
        assert.match(
          await notes(all),
          /no route for advertise\.admin and advertise\.tunnel, which are empty/,
        );
        const advertise = {
          ...TRAEFIK.advertise,
          admin: 'admin.example.org:443',
          tunnel: 't.example.org:443',
        };
        const complete = await notes({ ...all, advertise });
        assert.doesNotMatch(complete, /no route|networkPolicy\.operators/);
        assert.match(complete, /operators admin\.example\.org:443/);
      });

      it('hold commands that exist, with nothing behind them that a shell would take for arguments', async () => {
        const hub = await notesOf(generation, 'tributary-coordinator', { tunnel: { enabled: true } });
        const agent = await notesOf(generation, 'tributary-agent', {});
        const replica = await notesOf(generation, 'tributary-agent', { mode: 'Serve' });
        assert.match(agent, /`tributary invite SITE`/);
        assert.match(replica, /`tributary invite SITE --serving`/);
        const commands = [hub, agent, replica].flatMap(commandsOf);
        assert.ok(commands.length >= 15, commands.join('\n'));
        for (const command of commands) {
          assert.match(command, /^(?:kubectl|helm|tributary|export|\(umask) /);
          assert.doesNotMatch(command, / {2}|SITE/);
        }
        const ours = commands
          .map((command) => command.replace(/^\(umask 077 && (.*)\)$/, '$1').replace(/^.* -- /, ''))
          .map((command) => command.replace(/ [<>] .*$/, ''))
          .filter((command) => /^tributary/.test(command));
        assert.ok(ours.length >= 5, ours.join('\n'));
        assert.deepEqual(
          ours.map(commandFault).filter((fault) => fault !== undefined),
          [],
        );
      });
    });
  }

  describe(`and the operator's context${first === undefined ? WHY_SKIPPED : ''}`, function () {
    this.timeout(60_000);
    let folder: TemporaryDirectory;
    before(async function () {
      if (first === undefined) this.skip();
      folder = await temporaryDirectory();
    });
    after(() => folder?.remove());

    it('is private, and takes the place of no file that is there', async function () {
      if (first === undefined) this.skip();
      const commands = commandsOf(await notesOf(first, 'tributary-coordinator', {}));
      const fetch = commands.find((command) => command.includes('operator.yaml')) ?? '';
      const set = commands.find((command) => command.startsWith('export ')) ?? '';
      // Stands for kubectl: what a pod would print.
      const bin = join(folder.path, 'bin');
      await mkdir(bin);
      await writeFile(join(bin, 'kubectl'), '#!/bin/sh\necho "$CONTEXT"\n');
      await chmod(join(bin, 'kubectl'), 0o755);
      const shell = async (line: string, context: string): Promise<string> => {
        const env = { HOME: folder.path, PATH: `${bin}:${process.env['PATH'] ?? ''}`, CONTEXT: context };
        return (await promisify(execFile)('sh', ['-c', line], { env })).stdout.trim();
      };
      await shell(fetch, 'first');
      const path = await shell(`${set}; echo "$TRIBUTARY_CONFIG"`, '');
      assert.equal((await stat(path)).mode & 0o777, 0o600);
      await assert.rejects(shell(fetch, 'second'), /exist|overwrite/);
      assert.equal(await readFile(path, 'utf8'), 'first\n');
    });
  });
});
