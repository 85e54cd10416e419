// Texts of the sudo admin's screens in all languages: they are not part of the first load.

import { addTexts } from '../index.tsx';
import ar from './ar.ts';
import en from './en.ts';
import fa from './fa.ts';
import ru from './ru.ts';
import zh from './zh.ts';

addTexts({ en, fa, ar, ru, zh });
