import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// Fixed names: a change of the sources changes the same files again. `scripts/pack.mjs` adds `?v=` and compresses.
export default defineConfig({
  base: './',
  plugins: [react()],
  server: {
    proxy: Object.fromEntries(
      ['/api', '/sub', '/health'].map((path) => [path, { target: process.env.PANEL ?? 'http://127.0.0.1:8000', ws: true }]),
    ),
  },
  build: {
    outDir: 'build',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        entryFileNames: 'app.js',
        // Libraries of the first load: their files change only when they do. The calendar is loaded with the editor.
        codeSplitting: {
          groups: [
            { name: 'vendor', test: /node_modules\/(react|react-dom|scheduler|@tanstack|openapi-fetch|uqr|seroval|cookie-es|use-sync-external-store)\/|rolldown\/runtime/ },
            { name: 'codemirror', test: /node_modules\/(@codemirror|@lezer|@marijn|crelt|style-mod|w3c-keyname)\// },
            { name: 'aria', test: /node_modules\/(react-aria|react-stately|react-aria-components)\/(?!.*(calendar|date|spinbutton|NumberField|Color))/i },
            // What several screens use. Without a group of its own, its file would be named after any one of its modules.
            { name: 'shared', test: /dashboard\/src\/(api|i18n|shell|ui)\/(?!DateField|more\/)/ },
          ],
        },
        chunkFileNames: '[name].js',
        assetFileNames: (asset) => (asset.names[0]?.endsWith('.css') ? 'app.css' : '[name][extname]'),
      },
    },
  },
});
