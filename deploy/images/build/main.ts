import { createPrivateKey, createPublicKey } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { writeArchive } from './archive.js';
import { buildImage, imageLayers, preparePlatform, type BuiltImage, type Platform } from './image.js';
import { chooseInputs, readInputs } from './inputs.js';
import { Layout } from './layout.js';
import { partOf, removeLeftovers } from './part.js';
import { ARCHITECTURES, isArchitecture, type Architecture } from './platforms.js';
import { IMAGES, type ImageName } from './product.js';
import { fingerprint, signLayout, verifyLayout } from './signature.js';
import { unpackLayers } from './unpack.js';

const USAGE = `npm run image -- build [--image coordinator|agent]... [--platform linux/amd64|linux/arm64]... [--out FOLDER]
                       [--registry NAME] [--key PRIVATE.pem] [--tar] [--cache FOLDER] [--fresh]
npm run image -- sign   LAYOUT --key PRIVATE.pem
npm run image -- verify LAYOUT --key PUBLIC.pem
npm run image -- unpack FOLDER --image coordinator|agent --platform linux/amd64|linux/arm64 [--cache FOLDER]
npm run image -- choose

build   writes one OCI image layout per image below --out (.tributary/images), with bills of materials; --key signs them,
        --tar writes one file per image for machines without a registry. SOURCE_DATE_EPOCH is the time of every file.
        --fresh compresses layers anew that lie in the cache.
sign    signs a layout as cosign does, with an Ed25519 key or one on P-256.
verify  holds a layout against its digests and signatures.
unpack  writes the files of one image for one platform, as root: for Containerfiles.
choose  takes the Debian packages that there are now and the Node.js of inputs.ts, and writes deploy/images/inputs.json.`;

/** Folders of the cache. */
const CACHED = ['debian', 'layers', 'node', 'npm'];

/** A mistake of whoever calls. */
class UsageError extends Error {}

const root = resolve(import.meta.dirname, '../../..');

const OPTIONS = {
  image: { type: 'string', multiple: true },
  platform: { type: 'string', multiple: true },
  out: { type: 'string', default: join(root, '.tributary/images') },
  registry: { type: 'string', default: 'registry.tributary.dev' },
  cache: { type: 'string', default: join(root, 'node_modules/.cache/tributary-images') },
  key: { type: 'string' },
  tar: { type: 'boolean', default: false },
  fresh: { type: 'boolean', default: false },
} as const;

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (cause) {
    throw new UsageError(`${cause instanceof Error ? cause.message : String(cause)}\n${USAGE}`, { cause });
  }
}
type Values = ReturnType<typeof parse>['values'];

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parse(args);
  const [command, folder, ...rest] = positionals;
  const takesFolder = command !== 'build' && command !== 'choose';
  if (rest.length > 0 || (folder !== undefined && !takesFolder)) throw new UsageError(USAGE);
  switch (command) {
    case 'build':
      return build(values);
    case 'sign':
      return signLayout(layoutAt(folder), createPrivateKey(await pem(values)));
    case 'verify': {
      const key = createPublicKey(await pem(values));
      print(`${await verifyLayout(layoutAt(folder), key)} signed by ${fingerprint(key)}`);
      return;
    }
    case 'unpack':
      return unpack(values, folder);
    case 'choose':
      print(JSON.stringify(await chooseInputs(root, new Date()), null, 2));
      return;
    default:
      throw new UsageError(USAGE);
  }
}

function layoutAt(folder: string | undefined): Layout {
  if (folder === undefined) throw new UsageError(USAGE);
  return new Layout(folder);
}

function pem({ key }: Values): Promise<string> {
  if (key === undefined) throw new UsageError('--key: the file of a key in PEM');
  return readFile(key, 'utf8');
}

/** Images to be built, as the options say. */
async function order(values: Values) {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  const names = new Set((values.image ?? IMAGES).map(imageName));
  const architectures = new Set(values.platform?.map(architectureOf) ?? ARCHITECTURES);
  const epoch = Number(process.env['SOURCE_DATE_EPOCH'] ?? 0);
  if (!Number.isSafeInteger(epoch) || epoch < 0)
    throw new UsageError('SOURCE_DATE_EPOCH: seconds since 1970');
  const { registry, fresh } = values;
  const inputs = await readInputs(root);
  const materials = { root, inputs, cache: resolve(values.cache), fresh, epoch };
  return { names, architectures, materials, version, registry };
}

async function build(values: Values): Promise<void> {
  const key = values.key === undefined ? undefined : createPrivateKey(await pem(values));
  const { names, architectures, materials, version, registry } = await order(values);
  await removeLeftovers([values.out, ...CACHED.map((name) => join(values.cache, name))]);
  const platforms: Platform[] = [];
  for (const architecture of architectures) platforms.push(await preparePlatform(materials, architecture));
  await mkdir(values.out, { recursive: true });
  for (const name of names) {
    const out = join(values.out, name);
    const part = partOf(values.out);
    try {
      await mkdir(part);
      const layout = new Layout(part);
      report(await buildImage({ ...materials, name, version, platforms, registry, out: part }));
      if (key !== undefined) await signLayout(layout, key);
      await chmod(part, 0o755);
      await rm(out, { recursive: true, force: true });
      await rename(part, out);
    } finally {
      await rm(part, { recursive: true, force: true });
    }
    if (values.tar) await writeArchive(new Layout(out), `${out}.tar`);
  }
}

async function unpack(values: Values, folder: string | undefined): Promise<void> {
  const { names, architectures, materials } = await order(values);
  const [[name], [architecture]] = [[...names], [...architectures]];
  if (folder === undefined || name === undefined || architecture === undefined) throw new UsageError(USAGE);
  if (names.size > 1 || architectures.size > 1)
    throw new UsageError('unpack: one --image and one --platform');
  await unpackLayers(
    await imageLayers(materials, name, await preparePlatform(materials, architecture)),
    folder,
  );
}

function imageName(word: string): ImageName {
  const found = IMAGES.find((name) => name === word);
  if (found === undefined) throw new UsageError(`--image ${word}: one of ${IMAGES.join(', ')}`);
  return found;
}

function architectureOf(platform: string): Architecture {
  const [os, architecture = ''] = platform.split('/');
  if (os !== 'linux' || !isArchitecture(architecture))
    throw new UsageError(`--platform ${platform}: linux/amd64 or linux/arm64`);
  return architecture;
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

function report({ reference, digest, platforms }: BuiltImage): void {
  print(`${reference}@${digest}`);
  for (const { architecture, layers } of platforms) {
    for (const { comment, size, unpackedSize } of layers)
      print(`  ${architecture} ${comment}: ${mebibytes(size)} MiB, unpacked ${mebibytes(unpackedSize)} MiB`);
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
