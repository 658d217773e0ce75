import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { output } from './commands.js';
import type { DebianPackage, Inputs, NodePackage } from './inputs.js';

const APT_HELPER = '/usr/lib/apt/apt-helper';

/** The file of a Debian package, fetched once by apt, which holds it against its digest. */
export async function debianFile(
  { name, url, sha256 }: DebianPackage,
  { asOf }: Inputs,
  cache: string,
): Promise<string> {
  const folder = join(cache, 'debian');
  const file = join(folder, `${sha256}.deb`);
  if (existsSync(file)) return file;
  await mkdir(folder, { recursive: true });
  // What the mirrors replaced is kept there for good.
  const kept = url
    .replace('http://deb.debian.org/', 'http://snapshot.debian.org/archive/')
    .replace(/\/pool\//, `/${asOf}/pool/`);
  const part = join(folder, `part-${randomUUID()}`);
  const problems: string[] = [];
  for (const address of [url, kept]) {
    try {
      await output(APT_HELPER, ['download-file', address, part, `SHA256:${sha256}`]);
      await rename(part, file);
      return file;
    } catch (error) {
      problems.push(`${address}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      await rm(part, { force: true });
    }
  }
  throw new Error(
    `${name} is neither on Debian's mirrors nor kept there as it was; \`npm run image -- choose\` takes what there is now.\n${problems.join('\n')}`,
  );
}

/** A folder with the content of the npm package that brings Node.js, fetched once. */
export async function nodeFolder({ name, version, integrity }: NodePackage, cache: string): Promise<string> {
  const folder = join(cache, 'node', `${name}-${version}`);
  if (existsSync(folder)) return join(folder, 'package');
  await mkdir(join(cache, 'node'), { recursive: true });
  const part = await mkdtemp(join(cache, 'node', 'part-'));
  try {
    await output('npm', ['pack', '--silent', `${name}@${version}`], part);
    const [archive = ''] = await readdir(part);
    const digest = createHash('sha512').update(await readFile(join(part, archive)));
    const found = `sha512-${digest.digest('base64')}`;
    if (found !== integrity) throw new Error(`${name}@${version} is not what it was: ${found}`);
    await output('tar', ['-xzf', archive, 'package/bin/node', 'package/LICENSE'], part);
    await rm(join(part, archive));
    await rename(part, folder);
  } finally {
    await rm(part, { recursive: true, force: true });
  }
  return join(folder, 'package');
}
