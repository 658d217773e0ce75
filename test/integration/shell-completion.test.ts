import { shellCompletionSuite } from '../contract/shell-completion.js';
import { BASH_SHELL } from '../support/shells.js';

shellCompletionSuite(BASH_SHELL);
