import { defineConfig } from 'vitest/config'

// The pages are served by the Python package: /watch/{uuid}, /docs, /login/, /formbox and /fleet, with everything else below /assets.
// Nothing is inlined, because the pages' content policy allows own files only.
export default defineConfig({
  build: {
    outDir: '../src/wayframe/web',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    rollupOptions: { input: ['watch.html', 'docs.html', 'login.html', 'formbox.html', 'fleet.html'] },
  },
  test: { include: ['test/**/*.test.ts'] },
})
