#!/usr/bin/env node
// Writes the pages that are derived from the built package: ERRORS.md from the error table, DOCUMENTS.md from the schemas.
import { writeFileSync } from 'node:fs';

import { documentation } from '../dist/documents/documentation.js';
import { errorDocumentation } from '../dist/errors/error-documentation.js';

writeFileSync(new URL('../ERRORS.md', import.meta.url), errorDocumentation());
writeFileSync(new URL('../DOCUMENTS.md', import.meta.url), documentation());
