import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { commandFault } from '../support/command-trees.js';
import { repositoryRoot } from '../support/daemon.js';
import { execute } from '../support/kube/charts.js';
import { listLayer, nativeFiles, platformImages } from '../support/oci/image-files.js';
import { builtLayouts, unpackedImage, type ImageName } from '../support/oci/images.js';
import { imageIndex, readBlob, type ImageConfig } from '../support/oci/layout.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

const NAMES: readonly ImageName[] = ['coordinator', 'agent'];
const root = process.getuid?.() === 0;

/** What the last stage of the Containerfile of that name sets. */
function containerfile(name: string): (word: string) => readonly string[] {
  const text = readFileSync(join(repositoryRoot, `deploy/images/${name}.Containerfile`), 'utf8');
  const stage = text.slice(text.lastIndexOf('\nFROM '));
  return (word) => [...stage.matchAll(new RegExp(`^${word} (.*)$`, 'gm'))].map(([, rest = '']) => rest);
}

const { version: VERSION } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as {
  readonly version: string;
};

/** What a Containerfile has to say for an image of this configuration; engines write the time of creation themselves. */
function settingsOf({ config }: ImageConfig, labels: Readonly<Record<string, string>> = {}): object {
  const all = { ...config.Labels, ...labels };
  return {
    user: [config.User],
    entrypoint: [config.Entrypoint],
    command: [config.Cmd],
    environment: [config.Env.join(' ')],
    volumes: Object.keys(config.Volumes),
    ports: [Object.keys(config.ExposedPorts).join(' ').replaceAll('/tcp', '')],
    folder: [config.WorkingDir],
    labels: Object.entries(all)
      .filter(([name]) => name !== 'org.opencontainers.image.created')
      .map(([name, value]) => `${name}="${value}"`)
      .sort(),
  };
}

function saidBy(of: (word: string) => readonly string[]): object {
  const lists = (word: string): readonly unknown[] => of(word).map((line) => JSON.parse(line) as unknown);
  return {
    user: of('USER'),
    entrypoint: lists('ENTRYPOINT'),
    command: lists('CMD'),
    environment: of('ENV'),
    volumes: of('VOLUME'),
    ports: of('EXPOSE'),
    folder: of('WORKDIR'),
    labels: [...of('LABEL')].sort(),
  };
}

/** Each path below a folder with its type, mode, owner, time and size or target. */
async function listed(folder: string): Promise<string> {
  const { code, stdout, stderr } = await execute('find', [
    ...[folder, '-mindepth', '1', '(', '-type', 'd', '-printf', '%P %y %m %U:%G\n', ')'],
    ...['-o', '-printf', '%P %y %m %U:%G %Ts %s %l\n'],
  ]);
  assert.equal(code, 0, stderr);
  return stdout.split('\n').sort().join('\n');
}

/** What whoever breaks into a process would look for. */
const PROGRAMS =
  /(bin\/(sh|bash|dash|busybox|npm|npx|yarn(pkg)?|pnpm|corepack|apt.*|dpkg.*|su|mount|perl.*)|node_modules\/(npm|yarn|pnpm|corepack))$/;
/** What is of use where images are made: sources, maps, tests, and what builds and package managers leave. */
const WORKSHOP =
  /\.([cm]?tsx?|map|tsbuildinfo|deb|tgz|c|cc|h|gyp)$|(^|\/)(tests?|__tests__|_cacache|\.cache|\.npm|\.npmrc|\.git|\.package-lock\.json|package-lock\.json)(\/|$)|[_.-]test\.[cm]?js$|^var\/(cache|lib\/apt)\//;
/** Of the charts that the coordinator's image carries: what `helm test` runs at the user's. */
const CHART_TESTS =
  /^opt\/tributary\/deploy\/charts\/[^/]+\/(templates\/tests(\/|$)|files\/connection-test\.mjs$)/;

const QEMU = '/usr/bin/qemu-aarch64-static';
const emulator = root && existsSync(QEMU) ? QEMU : undefined;
/** Uses both packages of the agent that have addons. */
const LOADING = `import { createRequire } from 'node:module';
const { resolve } = createRequire(process.argv[2]);
const { DuckDBInstance } = await import(resolve('@duckdb/node-api'));
const connection = await (await DuckDBInstance.create(':memory:')).connect();
const [[sum]] = (await connection.runAndReadAll('select 40 + 2')).getRows();
const { Level } = await import(resolve('level'));
const store = new Level(process.argv[3] + '/store');
await store.put('key', 'kept');
console.log(process.arch, sum, await store.get('key'));
await store.close();
`;

describe(`images of npm run image${root ? '' : ' (unpacking needs root)'}`, function () {
  this.timeout(580_000);
  let layouts: string;

  before(async () => {
    layouts = await builtLayouts();
  });

  for (const name of NAMES) {
    it(`${name}: starts as its Containerfile says, for both platforms, with every blob in place`, async () => {
      const layout = join(layouts, name);
      const images = await platformImages(layout);
      assert.deepEqual(images.map(({ architecture }) => architecture).sort(), ['amd64', 'arm64']);
      for (const { architecture, manifest, config } of images) {
        assert.deepEqual([config.architecture, config.os], [architecture, 'linux']);
        assert.deepEqual(saidBy(containerfile(name)), settingsOf(config));
        if (name === 'agent') {
          const description = 'The agent of a site, on GPUs with CUDA 11.2.';
          const cuda = settingsOf(config, { 'org.opencontainers.image.description': description });
          assert.deepEqual(saidBy(containerfile('agent-cuda')), cuda);
        }
        const { Entrypoint, Cmd, Labels } = config.config;
        assert.equal(config.config.User, '65532:65532');
        assert.equal(commandFault([...Entrypoint, ...Cmd].join(' ')), undefined);
        assert.equal(Labels['org.opencontainers.image.version'], VERSION);
        assert.equal(config.rootfs.diff_ids.length, manifest.layers.length);
        for (const layer of manifest.layers) await readBlob(layout, layer);
      }
    });

    it(`${name}: has files of one time, sorted, owned by root but for the folder of data, nothing that others may write or that changes who runs it, no shell, and nothing of the workshop`, async () => {
      const layout = join(layouts, name);
      for (const { manifest } of await platformImages(layout)) {
        const all: string[] = [];
        for (const layer of manifest.layers) {
          const lines = await listLayer(layout, layer);
          const paths = lines.map(({ path }) => path.replace(/\/$/, ''));
          assert.deepEqual(
            paths,
            [...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
          );
          for (const { mode, owner, time, path } of lines) {
            assert.equal(time, '1970-01-01 00:00:00', path);
            assert.equal(owner, path === 'var/lib/tributary/' ? '65532/65532' : '0/0', path);
            assert.match(mode, path === 'tmp/' ? /^drwxrwxrwt$/ : /^(l.{9}|[d-]rw[x-]r-[x-]r-[x-])$/, path);
          }
          all.push(...paths);
        }
        assert.ok(all.includes('usr/local/bin/node'));
        for (const path of all) {
          assert.doesNotMatch(path, PROGRAMS);
          assert.ok(CHART_TESTS.test(path) || !WORKSHOP.test(path), path);
        }
      }
    });

    it(`${name}: has no native file for another processor`, async function () {
      if (!root) this.skip();
      for (const architecture of ['amd64', 'arm64']) {
        const { rootfs } = await unpackedImage(name, architecture);
        const native = await nativeFiles(rootfs);
        assert.deepEqual([...new Set(native.values())], [architecture], rootfs);
        const files = [...native.keys()].join('\n');
        for (const needed of name === 'agent' ? [/libduckdb/, /classic-level/] : [/classic-level/])
          assert.match(files, needed);
        assert.match(files, /^usr\/local\/bin\/node$/m);
      }
    });
  }

  it(`the agent's addons load on arm64, under emulation${emulator === undefined ? ' (needs root and qemu-user-static)' : ''}`, async function () {
    if (emulator === undefined) this.skip();
    const { rootfs } = await unpackedImage('agent', 'arm64');
    const folder = await temporaryDirectory();
    const script = join(folder.path, 'load.mjs');
    await writeFile(script, LOADING);
    const node = join(rootfs, 'usr/local/bin/node');
    const home = join(rootfs, 'opt/tributary/edge-agent/package.json');
    const { code, stdout, stderr } = await execute(emulator, ['-L', rootfs, node, script, home, folder.path]);
    await folder.remove();
    assert.equal(code, 0, stderr);
    assert.equal(stdout, 'arm64 42 kept\n');
  });

  it('are what their Containerfiles copy, made by the very command', async function () {
    if (!root) this.skip();
    const [command = '', ...others] = ['coordinator', 'agent'].map((name) => {
      const text = readFileSync(join(repositoryRoot, `deploy/images/${name}.Containerfile`), 'utf8');
      return /^RUN (node deploy\/images\/dist\/main\.js unpack .*)$/m.exec(text)?.[1] ?? '';
    });
    assert.match(command, / unpack \/image --image coordinator .*TARGETARCH/);
    assert.deepEqual(others, [command.replace('coordinator', 'agent')]);
    const folder = await temporaryDirectory();
    const out = join(folder.path, 'image');
    const shell = command.replace(' /image ', ` ${out} `).replace(/^node /, `${process.execPath} `);
    const given = { TARGETARCH: 'amd64' };
    const { code, stderr } = await execute('sh', ['-c', `cd ${repositoryRoot} && ${shell}`], '', given);
    assert.equal(code, 0, stderr);
    const { rootfs } = await unpackedImage('coordinator', 'amd64');
    assert.equal(await listed(out), await listed(rootfs));
    await folder.remove();
  });

  it('are not the same for both', async () => {
    const [first, second] = await Promise.all(NAMES.map((name) => imageIndex(join(layouts, name))));
    assert.notEqual(first?.digest, second?.digest);
  });
});
