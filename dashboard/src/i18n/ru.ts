import en from './en.ts'; import type { Messages } from './index.tsx'; const messages: Messages = en; export default messages;
