import react from '@vitejs/plugin-react';
import { type Plugin, defineConfig } from 'vite';

/** Locales of react-aria's texts that a reader can have: it has none in Persian. */
const LOCALES = ['ar-AE', 'en-US', 'ru-RU', 'zh-CN'];

/** Leaves out react-aria's texts in other languages. */
function ownLanguages(): Plugin {
  return {
    name: 'own-languages',
    load(id) {
      const locale = /react-(?:aria|stately)\/dist\/private\/intl\/.*\/([a-z]{2}-[A-Z]{2})\.mjs$/.exec(id)?.[1];
      return locale === undefined || LOCALES.includes(locale) ? undefined : 'export default {};';
    },
  };
}

// Fixed names: a change of the sources changes the same files again. `scripts/pack.mjs` adds `?v=` and compresses.
export default defineConfig({
  base: './',
  plugins: [react(), ownLanguages()],
  server: {
    proxy: Object.fromEntries(
      ['/api', '/sub', '/health'].map((path) => [path, { target: process.env.PANEL ?? 'http://127.0.0.1:8000', ws: true }]),
    ),
  },
  build: {
    outDir: 'build',
    emptyOutDir: true,
    target: 'es2022',
    // What the page begins with is asked for at once; a dynamic import asks for its own.
    modulePreload: { polyfill: false, resolveDependencies: (_file, files, { hostType }) => (hostType === 'html' ? files : []) },
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        entryFileNames: 'app.js',
        // Libraries of the first load: their files change only when they do. The calendar is loaded with the editor.
        codeSplitting: {
          groups: [
            // What runs before the libraries are there; it imports nothing of them.
            { name: 'begin', priority: 1, test: /dashboard\/src\/(begin|api\/(early|root|session)|i18n\/texts|screens\/users\/(days|search)|ui\/sizes)\.ts|vite\/preload-helper/ },
            { name: 'vendor', test: /node_modules\/(react|react-dom|scheduler|@tanstack|openapi-fetch|uqr|seroval|cookie-es|use-sync-external-store)\/|rolldown\/runtime/ },
            { name: 'codemirror', test: /node_modules\/(@codemirror|@lezer|@marijn|crelt|style-mod|w3c-keyname)\// },
            { name: 'aria', test: /node_modules\/(react-aria|react-stately|react-aria-components)\/(?!.*(calendar|date|spinbutton|NumberField|Color))/i },
            // What several screens use. Without a group of its own, its file would be named after any one of its modules.
            { name: 'shared', test: /dashboard\/src\/(api|i18n|shell|ui)\/(?!DateField|Palette|more\/|\w\w\.ts)/ },
          ],
        },
        // A language is loaded alone: `text-fa.js`, and `more-fa.js` with the screens that need it.
        chunkFileNames({ name, facadeModuleId }) {
          const [, folder, language] = /\/src\/i18n\/(more\/)?(\w\w)\.ts$/.exec(facadeModuleId ?? '') ?? [];
          return language === undefined ? '[name].js' : `${folder === undefined ? 'text' : 'more'}-${language}.js`;
        },
        assetFileNames: (asset) => (asset.names[0]?.endsWith('.css') ? 'app.css' : '[name][extname]'),
      },
    },
  },
});
