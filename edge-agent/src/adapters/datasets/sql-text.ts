/** A text as an SQL literal. */
export const sqlText = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** A name as an SQL identifier. */
export const sqlName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const sqlList = (texts: readonly string[]): string => `[${texts.map(sqlText).join(', ')}]`;
