/** A piece of a text with gaps: a text, or a name whose value goes there. */
export type TextPart =
  { readonly type: 'Text'; readonly text: string } | { readonly type: 'Name'; readonly name: string };

const PIECE = /\{([^{}]*)\}|([^{}]+)|([{}])/gu;

/** Reads `ward/{ward}/bed-{bed}`. Gives what is wrong with it as a text where it is no template. */
export function parseTextTemplate(template: string): readonly TextPart[] | string {
  const parts: TextPart[] = [];
  for (const [, name, text] of template.matchAll(PIECE)) {
    if (text !== undefined) parts.push({ type: 'Text', text });
    else if (name !== undefined && name !== '') parts.push({ type: 'Name', name });
    else return 'a brace has no partner, or nothing stands between two';
  }
  return parts;
}

/** Names of a template, each once. */
export function templateNames(parts: readonly TextPart[]): readonly string[] {
  return [...new Set(parts.flatMap((part) => (part.type === 'Name' ? [part.name] : [])))];
}
