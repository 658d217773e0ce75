#!/usr/bin/env node
// Writes ERRORS.md from the error table of the built package.
import { writeFileSync } from 'node:fs';

import { errorDocumentation } from '../dist/errors/error-documentation.js';

writeFileSync(new URL('../ERRORS.md', import.meta.url), errorDocumentation());
