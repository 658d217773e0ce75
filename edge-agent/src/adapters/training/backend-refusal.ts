/** Why a backend does not serve, in our own words: the text of a library may quote paths or data. */
export class BackendRefusal extends Error {
  override readonly name = 'BackendRefusal';
}

/** What an error may say about a backend. Of a library's text only the name of a kernel that it misses is passed on. */
export function refusalReason(error: unknown): string {
  if (error instanceof BackendRefusal) return error.message;
  const text = error instanceof Error ? error.message : '';
  const kernel = /Kernel '(\w+)' not registered/.exec(text)?.[1];
  if (kernel !== undefined) return `the kernel ${kernel} is missing`;
  return `a trial step failed (${error instanceof Error ? error.name : typeof error})`;
}
