import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { output } from './commands.js';
import type { DebianPackage, Inputs, NodePackage } from './inputs.js';
import { DamagedInput, pinned, sha512Of } from './pinned.js';

const APT_HELPER = '/usr/lib/apt/apt-helper';

/** The file of a Debian package, which has its digest now. */
export async function debianFile(
  { name, version, url, sha256 }: DebianPackage,
  { asOf }: Inputs,
  cache: string,
): Promise<string> {
  const what = `Debian's ${name} ${version}`;
  const file = join(cache, 'debian', `${sha256}.deb`);
  // What the mirrors replaced is kept there for good.
  const old = url
    .replace('http://deb.debian.org/', 'http://snapshot.debian.org/archive/')
    .replace(/\/pool\//, `/${asOf}/pool/`);
  await pinned({ what, file, digest: { algorithm: 'sha256', hex: sha256 } }, async (folder) => {
    const part = join(folder, 'package.deb');
    const problems: string[] = [];
    for (const address of new Set([url, old])) {
      try {
        await output(APT_HELPER, ['download-file', address, part, `SHA256:${sha256}`]);
        return part;
      } catch (error) {
        problems.push(`${address}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    throw new Error(
      `${name} is neither on Debian's mirrors nor kept there as it was; \`npm run image -- choose\` takes what there is now.\n${problems.join('\n')}`,
    );
  });
  return file;
}

/** The archive of the npm package that brings Node.js: a gzipped tar. */
export function nodeArchive({ name, version, integrity }: NodePackage, cache: string): Promise<Buffer> {
  const what = `${name}@${version}`;
  const digest = sha512Of(integrity);
  if (digest === undefined)
    throw new DamagedInput(`${what}: ${integrity} is not the integrity of an archive`);
  const file = join(cache, 'node', `${digest.hex}.tgz`);
  return pinned({ what, file, digest }, async (folder) => {
    await output('npm', ['pack', '--silent', '--prefer-offline', what], folder);
    const [archive] = await readdir(folder);
    if (archive === undefined) throw new Error(`npm packed nothing for ${what}`);
    return join(folder, archive);
  });
}
