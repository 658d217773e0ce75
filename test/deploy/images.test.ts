import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { commandFault } from '../support/command-trees.js';
import { repositoryRoot } from '../support/daemon.js';
import { execute } from '../support/kube/charts.js';
import { listLayer, nativeFiles, platformImages } from '../support/oci/image-files.js';
import { builtLayouts, unpackedImage, type ImageName } from '../support/oci/images.js';
import { imageIndex, readBlob } from '../support/oci/layout.js';
import { temporaryDirectory } from '../support/temporary-directory.js';

const NAMES: readonly ImageName[] = ['coordinator', 'agent'];
const root = process.getuid?.() === 0;

/** What the last stage of the Containerfile of that name sets. */
function containerfile(name: ImageName): (word: string) => readonly string[] {
  const text = readFileSync(join(repositoryRoot, `deploy/images/${name}.Containerfile`), 'utf8');
  const stage = text.slice(text.lastIndexOf('\nFROM '));
  return (word) => [...stage.matchAll(new RegExp(`^${word} (.*)$`, 'gm'))].map(([, rest = '']) => rest);
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
      const of = containerfile(name);
      const images = await platformImages(layout);
      assert.deepEqual(images.map(({ architecture }) => architecture).sort(), ['amd64', 'arm64']);
      for (const { architecture, manifest, config } of images) {
        assert.deepEqual([config.architecture, config.os], [architecture, 'linux']);
        assert.deepEqual([config.config.User], of('USER'));
        assert.deepEqual(
          [config.config.Entrypoint],
          of('ENTRYPOINT').map((line) => JSON.parse(line) as unknown),
        );
        assert.deepEqual(
          [config.config.Cmd],
          of('CMD').map((line) => JSON.parse(line) as unknown),
        );
        assert.deepEqual([config.config.Env.join(' ')], of('ENV'));
        assert.deepEqual(Object.keys(config.config.Volumes), of('VOLUME'));
        const ports = Object.keys(config.config.ExposedPorts).map((port) => port.replace('/tcp', ''));
        assert.deepEqual([ports.join(' ')], of('EXPOSE'));
        const { Entrypoint, Cmd, Labels } = config.config;
        assert.equal(commandFault([...Entrypoint, ...Cmd].join(' ')), undefined);
        assert.match(Labels['org.opencontainers.image.version'] ?? '', /^[0-9]+\.[0-9]+\.[0-9]+$/);
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

  it('are not the same for both', async () => {
    const [first, second] = await Promise.all(NAMES.map((name) => imageIndex(join(layouts, name))));
    assert.notEqual(first?.digest, second?.digest);
  });
});
