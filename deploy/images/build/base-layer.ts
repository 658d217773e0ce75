import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import { output } from './commands.js';
import { debianFile, nodeArchive } from './downloads.js';
import type { Entry } from './entries.js';
import type { Inputs } from './inputs.js';
import type { Architecture } from './platforms.js';
import { tarMembers } from './tar.js';

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
  // With the texts of the licenses to which copyrights refer.
  'base-files':
    /^(usr\/lib\/os-release|etc\/os-release|etc\/debian_version|usr\/share\/common-licenses\/L?GPL(-[23](\.1)?)?)$/,
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
  const taking = (path: string): boolean => taken.test(path) || isCopyright(path, name);
  const entries: Entry[] = [];
  const tar = await output('dpkg-deb', ['--fsys-tarfile', file]);
  for (const { header, content } of await tarMembers(tar, (path) => taking(merged(path)))) {
    const { type, linkname, mode = 0 } = header;
    const path = merged(header.name);
    if (type === 'file') entries.push({ kind: 'file', path, content, executable: (mode & 0o100) !== 0 });
    else if (type === 'symlink') entries.push({ kind: 'link', path, target: linkname ?? '' });
    else if (type !== 'directory') throw new Error(`${file}: ${path} is a ${String(type)}`);
  }
  return entries;
}

const isCopyright = (path: string, name: string): boolean =>
  path === `usr/share/doc/${name}` || path === `usr/share/doc/${name}/copyright`;

/** Debian's packages of this release still name /bin and /lib, which are links into /usr. */
const merged = (name: string): string =>
  name
    .replace(/^\.\//, '')
    .replace(/\/$/, '')
    .replace(/^(bin|sbin|lib|lib64)(?=\/|$)/, 'usr/$1');

/** What images take of npm's package of Node.js. */
const OF_NODE: Readonly<Record<string, string>> = {
  'package/bin/node': 'usr/local/bin/node',
  'package/LICENSE': 'usr/local/share/doc/node/LICENSE',
};

export async function nodeLayer(
  inputs: Inputs,
  architecture: Architecture,
  cache: string,
): Promise<readonly Entry[]> {
  const tar = await promisify(gunzip)(await nodeArchive(inputs.node[architecture], cache));
  const members = await tarMembers(tar, (path) => OF_NODE[path] !== undefined);
  return members.map(({ header: { name }, content }) => {
    const path = OF_NODE[name] ?? name;
    return { kind: 'file', path, content, executable: path.startsWith('usr/local/bin/') };
  });
}
