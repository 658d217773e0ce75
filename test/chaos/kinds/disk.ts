import { cp, mkdir, open as openFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { ERROR_TABLE } from '@tributary/proto';

import { tool, withoutRoot, withoutTool } from '../../support/system-tools.js';
import { eventually } from '../../support/waiting.js';
import type { ProcessName, World } from '../world.js';
import type { FaultKind } from './kind.js';

const DISK = '24m';
/** Room enough for a database, and too little to go on for long. */
const PIECE = new Uint8Array(64 * 1024);
const NOTICED_MS = 60_000;

/** Moves a folder to a small disk of its own, mounted in its place. */
async function moveToDisk(world: World, folder: string): Promise<void> {
  const aside = `${folder}.aside`;
  await rename(folder, aside);
  await mkdir(folder, { mode: 0o700 });
  tool('mount', '-t', 'tmpfs', '-o', `size=${DISK},mode=0700`, 'tmpfs', folder);
  world.whenStopped(() => {
    // What the judge and whoever looks at the case need outlives the disk.
    tool('cp', '-a', `${folder}/.`, aside);
    tool('umount', folder);
    tool('rmdir', folder);
    tool('mv', aside, folder);
  });
  await cp(aside, folder, { recursive: true });
}

/** Takes the last byte. */
async function fill(ballast: string): Promise<void> {
  const file = await openFile(ballast, 'w');
  try {
    for (let size = PIECE.length; size > 0;) {
      const written = await file.write(PIECE, 0, size).then(
        ({ bytesWritten }) => bytesWritten === size,
        () => false,
      );
      if (!written) size >>= 1;
    }
  } finally {
    await file.close().catch(() => undefined);
  }
}

/** The disk of one process is full for a while. */
export const disk: FaultKind = {
  name: 'disk',
  about: 'a full disk: a clear error, a pause, and on when there is room',
  missing: () => withoutRoot() ?? withoutTool('unshare', '-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'),
  variants: () => ['coordinator', 'north', 'coordinator-restarted', 'north-restarted'],
  run: async ({ random, variant, open }) => {
    const world = await open({ rounds: 4, epochs: 20 });
    const name: ProcessName = variant.startsWith('north') ? 'north' : 'coordinator';
    const { federation } = world;
    const folder = name === 'north' ? join(federation.siteFolder('north'), 'data') : federation.data;
    await moveToDisk(world, folder);
    await world.begin();
    await world.event('round.opened');
    await sleep(random.below(2_000));
    await world.atWork();
    const ballast = join(folder, 'ballast');
    const before = (await world.last(name).daemon.log()).length;
    await fill(ballast);
    const refusals = await refusalsAfter(world, name, before);
    await sleep(1_000);
    if (variant.endsWith('restarted')) await restartFull(world, name);
    await rm(ballast);
    if (!world.last(name).daemon.running) await world.restart(name);
    if (name === 'coordinator') await world.serving();
    await world.ended();
    return [{ what: `times that ${name} said STORE_FULL`, count: refusals }];
  },
};

/** How often a process said that its disk is full; jobs follow each other until it needs the disk. */
async function refusalsAfter(world: World, name: ProcessName, before: number): Promise<number> {
  const { daemon } = world.last(name);
  const refusals = async (): Promise<number> =>
    ((await daemon.log()).slice(before).match(/STORE_FULL/g) ?? []).length;
  const told = eventually('a clear error', async () => (await refusals()) || undefined, NOTICED_MS);
  const noticed = told.then(
    () => true,
    () => true,
  );
  await Promise.race([noticed, world.outlast(async () => (await refusals()) > 0)]);
  return refusals();
}

/** Whoever starts on a full disk works, or says why not and ends. */
async function restartFull(world: World, name: ProcessName): Promise<void> {
  await world.kill(name);
  const daemon = await world.start(name);
  const exit = await Promise.race([daemon.exited, sleep(4_000, undefined, { ref: false })]);
  if (exit === undefined) return;
  world.explained.push(new RegExp(`^${name} ended by itself: ${String(ERROR_TABLE.STORE_FULL.exit)}$`));
  if (!/STORE_FULL/.test((await daemon.log()).split('\n').slice(-6).join('\n')))
    world.findings.push(`${name} ends on a full disk and does not say so`);
}
