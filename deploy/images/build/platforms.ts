export const ARCHITECTURES = ['amd64', 'arm64'] as const;
/** As Debian and OCI write it; npm's amd64 is x64. */
export type Architecture = (typeof ARCHITECTURES)[number];

export const npmCpu = (architecture: Architecture): string =>
  architecture === 'amd64' ? 'x64' : architecture;

export const isArchitecture = (word: string): word is Architecture =>
  (ARCHITECTURES as readonly string[]).includes(word);

/** The machine of an ELF file, from its first bytes; undefined for another file. */
export function elfMachine(head: Buffer): number | undefined {
  if (head.length < 20 || head.readUInt32BE(0) !== 0x7f454c46) return undefined;
  // Byte 5 tells the order: both platforms are little-endian.
  return head[5] === 1 ? head.readUInt16LE(18) : head.readUInt16BE(18);
}

/** e_machine of the ELF specification: EM_X86_64 and EM_AARCH64. */
export const ELF_MACHINES: Readonly<Record<Architecture, number>> = { amd64: 62, arm64: 183 };
