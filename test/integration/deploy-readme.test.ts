import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { BINARIES, repositoryRoot } from '../support/daemon.js';
import { LocalFederation } from '../support/federation.js';
import { readmeSteps } from '../support/readme-steps.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

describe('what deploy/README.md has an operator type', function () {
  this.timeout(120_000);
  let folder: TemporaryDirectory;
  let federation: LocalFederation;
  let text: string;

  before(async () => {
    folder = await temporaryDirectory();
    federation = await LocalFederation.start(join(folder.path, 'federation'));
    const bin = join(folder.path, 'bin');
    await mkdir(bin);
    for (const [name, script] of Object.entries(BINARIES))
      await symlink(script, join(bin, name === 'tributary' ? name : `tributary-${name}`));
    text = await readFile(join(repositoryRoot, 'deploy/README.md'), 'utf8');
  });
  after(async () => {
    await federation.stop();
    await folder.remove();
  });

  const shell = async (line: string): Promise<string> => {
    const env = {
      ...process.env,
      PATH: `${join(folder.path, 'bin')}:${process.env['PATH'] ?? ''}`,
      TRIBUTARY_CONFIG: federation.contextFile,
      // As the chart has it.
      TRIBUTARY_DATA: federation.data,
    };
    const { stdout } = await promisify(execFile)('bash', ['-c', line], { cwd: folder.path, env });
    return stdout;
  };
  const commandsOf = (heading: string): readonly string[] =>
    readmeSteps(text, heading).flatMap((step) => (step.kind === 'command' ? [step.line] : []));

  it('cuts a site off', async () => {
    await federation.joinSite({ name: 'north', csv: 'a,y\n1,yes\n', dataset: 'rows' });
    const [revoke = ''] = commandsOf('Revoke and remove');
    assert.match(await shell(revoke), /site\/north revoked/);
    assert.match(await shell('tributary get sites'), /north/);
  });

  it('takes a backup out of the pod of a working coordinator, and restores it in another', async () => {
    // What a pod is given stands behind the kubectl that gives it.
    const inPods = (heading: string): readonly string[] =>
      commandsOf(heading).flatMap((line) => /^kubectl .* exec .*? -- (.*)$/.exec(line)?.[1] ?? []);
    await copyFile(join(federation.data, 'seal.key'), join(folder.path, 'seal.key'));
    const [backup = '', ...more] = inPods('Upgrade');
    assert.deepEqual(more, []);
    await shell(backup);
    const [verify = ''] = commandsOf('Upgrade').filter((line) => line.includes('--data trial'));
    assert.match(await shell(verify), /all verified/);
    const volume = join(folder.path, 'volume');
    await mkdir(join(volume, 'hub/old'), { recursive: true });
    const lines = inPods('Restore on a cluster');
    assert.equal(lines.length, 2);
    for (const line of lines)
      await shell(line.replaceAll('/var/lib/tributary', volume).replaceAll(' /seal/', ` ${folder.path}/`));
    assert.deepEqual(await readdir(join(volume, 'hub.lost')), ['old']);
    assert.ok((await readdir(join(volume, 'hub'))).includes('coordinator.json'));
  });

  it('leaves nothing of a backup that was cut on the way', async () => {
    const restore = (bytes: string): Promise<string> =>
      shell(
        `head -c ${bytes} before.tar | tributary-coordinator restore --data cut --from - --seal-key-file seal.key`,
      );
    await assert.rejects(restore('-4096'), /STORE_CORRUPT/);
    assert.match(await restore('-0'), /all verified/);
  });

  it('backs a working coordinator up, loses it, and restores it', async () => {
    const [backup = '', ...rest] = commandsOf('Backup and restore');
    assert.equal(rest.length, 4);
    // The page calls the data directory of its own machine hub.
    await symlink(federation.data, join(folder.path, 'hub'));
    await shell(backup);
    await federation.coordinator.stop();
    const addresses = join(federation.data, 'run/addresses.json');
    const known = await readFile(addresses, 'utf8');
    await shell('rm hub');
    await rename(federation.data, join(folder.path, 'hub'));
    for (const line of rest) await shell(line);
    await rename(join(folder.path, 'hub'), federation.data);
    // The same ports again: the operator's context knows no others.
    await mkdir(join(federation.data, 'run'), { recursive: true });
    await writeFile(addresses, known);
    await federation.serve();
    assert.match(await shell('tributary get sites'), /north/);
  });
});
