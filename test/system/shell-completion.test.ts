import { shellCompletionSuite } from '../contract/shell-completion.js';
import { FISH_SHELL, ZSH_SHELL } from '../support/shells.js';

for (const shell of [ZSH_SHELL, FISH_SHELL]) shellCompletionSuite(shell);
