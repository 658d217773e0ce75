import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { extract } from 'tar-stream';

import { output } from './commands.js';
import { debianFile, nodeFolder } from './downloads.js';
import type { Entry } from './entries.js';
import type { Inputs } from './inputs.js';
import type { Architecture } from './platforms.js';

/** Who the processes are: the charts' `user`, as a name for those who look. */
const PASSWD = [
  'root:x:0:0:root:/root:/sbin/nologin',
  'tributary:x:65532:65532:tributary:/var/lib/tributary:/sbin/nologin',
  'nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin',
  '',
].join('\n');
const GROUP = 'root:x:0:\ntributary:x:65532:\nnogroup:x:65534:\n';
const NSSWITCH = 'passwd: files\ngroup: files\nhosts: files dns\nservices: files\n';

/** What images take of a package besides its copyright; libc's tables for other character sets stay out. */
const TAKEN: Readonly<Record<string, RegExp>> = {
  'base-files': /^(usr\/lib\/os-release|etc\/os-release|etc\/debian_version)$/,
  coreutils: /^usr\/bin\/(cat|env)$/,
  'gcc-12-base': /^$/,
  libc6: /^usr\/lib(64)?\/(?!.*\/(gconv|audit)\/)/,
  'libgcc-s1': /^usr\/lib\//,
  'libstdc++6': /^usr\/lib\//,
};

/** Debian without a shell and without a package manager, and a folder for data. */
export async function baseLayer(
  inputs: Inputs,
  architecture: Architecture,
  cache: string,
): Promise<readonly Entry[]> {
  const entries: Entry[] = [
    ...['bin', 'lib', 'lib64', 'sbin'].map((path): Entry => ({ kind: 'link', path, target: `usr/${path}` })),
    ...['dev', 'etc', 'proc', 'root', 'run', 'sys', 'usr/bin', 'usr/lib64', 'usr/sbin'].map(
      (path): Entry => ({ kind: 'folder', path }),
    ),
    { kind: 'folder', path: 'tmp', mode: 0o1777 },
    { kind: 'folder', path: 'var/lib/tributary', mode: 0o755, owner: 65_532 },
    ...Object.entries({ passwd: PASSWD, group: GROUP, 'nsswitch.conf': NSSWITCH }).map(
      ([name, text]): Entry => ({ kind: 'file', path: `etc/${name}`, content: Buffer.from(text) }),
    ),
  ];
  for (const debianPackage of inputs.debian[architecture]) {
    const file = await debianFile(debianPackage, inputs, cache);
    entries.push(...(await slice(debianPackage.name, file)));
    // Where scanners of images without a package manager look.
    const control = await output('dpkg-deb', ['--field', file]);
    entries.push({ kind: 'file', path: `var/lib/dpkg/status.d/${debianPackage.name}`, content: control });
  }
  return entries;
}

async function slice(name: string, file: string): Promise<readonly Entry[]> {
  const taken = TAKEN[name];
  if (taken === undefined) throw new Error(`nobody has said what images take of ${name}`);
  const archive = extract();
  Readable.from([await output('dpkg-deb', ['--fsys-tarfile', file])]).pipe(archive);
  const entries: Entry[] = [];
  for await (const member of archive) {
    const { type, linkname, mode = 0 } = member.header;
    const path = merged(member.header.name.replace(/^\.\//, '').replace(/\/$/, ''));
    const chunks: Buffer[] = [];
    for await (const chunk of member) chunks.push(chunk as Buffer);
    if (!taken.test(path) && !isCopyright(path, name)) continue;
    if (type === 'file')
      entries.push({ kind: 'file', path, content: Buffer.concat(chunks), executable: (mode & 0o100) !== 0 });
    else if (type === 'symlink') entries.push({ kind: 'link', path, target: linkname ?? '' });
    else if (type !== 'directory') throw new Error(`${file}: ${path} is a ${String(type)}`);
  }
  return entries;
}

const isCopyright = (path: string, name: string): boolean =>
  path === `usr/share/doc/${name}` || path === `usr/share/doc/${name}/copyright`;

/** Debian's packages of this release still name /bin and /lib, which are links into /usr. */
const merged = (path: string): string => path.replace(/^(bin|sbin|lib|lib64)(?=\/|$)/, 'usr/$1');

export async function nodeLayer(
  inputs: Inputs,
  architecture: Architecture,
  cache: string,
): Promise<readonly Entry[]> {
  const folder = await nodeFolder(inputs.node[architecture], cache);
  return [
    { kind: 'file', path: 'usr/local/bin/node', content: join(folder, 'bin/node'), executable: true },
    {
      kind: 'file',
      path: 'usr/local/share/doc/node/LICENSE',
      content: await readFile(join(folder, 'LICENSE')),
    },
  ];
}
