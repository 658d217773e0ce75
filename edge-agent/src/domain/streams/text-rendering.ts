import { LIMITS, parseTextTemplate, templateNames, TributaryError } from '@tributary/proto';

import { fault, type Fault } from './fault.js';

export type Labels = Readonly<Record<string, string>>;

/** A compiled text with names in it, such as the key of a pipeline or a topic to publish on. */
export interface TextRenderer {
  readonly names: readonly string[];
  /** Fills in the names; NoKey where one is missing. */
  render(labels: Labels): string | Fault;
}

/** Throws DOCUMENT_INVALID for what is no template, which documents have checked. */
export function compileText(template: string): TextRenderer {
  const parts = parseTextTemplate(template);
  if (typeof parts === 'string') throw new TributaryError('DOCUMENT_INVALID', `template: ${parts}`);
  return {
    names: templateNames(parts),
    render(labels) {
      let text = '';
      for (const part of parts) {
        if (part.type === 'Name' && !Object.hasOwn(labels, part.name)) return fault('NoKey', part.name);
        text += part.type === 'Text' ? part.text : (labels[part.name] ?? '');
      }
      return text;
    },
  };
}

/** U+FFFD is what broken UTF-8 becomes: names that are told apart by nothing else would be one. */
const UNSAFE = /[/+#\uFFFD]|\p{Cc}/u;

/** Whether a value may stand in a key or topic: it may not add levels or wildcards to it. */
export function isLabel(text: string): boolean {
  return text.length <= LIMITS.streamKeyLength && text.isWellFormed() && !UNSAFE.test(text);
}
