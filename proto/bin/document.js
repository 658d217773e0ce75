#!/usr/bin/env node
// Writes the pages that are derived from the built package: ERRORS.md from the error table, DOCUMENTS.md from the schemas,
// LIMITS.md from the limits and the comments on them.
import { readFileSync, writeFileSync } from 'node:fs';

import { documentation } from '../dist/documents/documentation.js';
import { errorDocumentation } from '../dist/errors/error-documentation.js';
import { limitsDocumentation } from '../dist/limits-documentation.js';

writeFileSync(new URL('../ERRORS.md', import.meta.url), errorDocumentation());
writeFileSync(new URL('../DOCUMENTS.md', import.meta.url), documentation());
const source = (name) => readFileSync(new URL(`../src/${name}.ts`, import.meta.url), 'utf8');
writeFileSync(
  new URL('../LIMITS.md', import.meta.url),
  limitsDocumentation(source('load-limits'), source('table-limits'), source('limits')),
);
