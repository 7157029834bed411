import { fileURLToPath } from 'node:url'
import type { BuildOptions } from 'esbuild'

export const packageRoot = fileURLToPath(new URL('..', import.meta.url))

/** One small entry for `--help` and one chunk a command, so that starting costs only what is used. */
export const bundleOptions = {
  absWorkingDir: packageRoot,
  entryPoints: { cli: 'src/cli/main.ts' },
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: 'linked',
  sourcesContent: false,
  legalComments: 'none',
  // ssh2 uses these where they were compiled, and node:crypto where not.
  external: ['*.node', 'cpu-features'],
  banner: {
    // CommonJS packages inside the bundle use what Node gives such modules; an ES module has none of it.
    js: [
      "import{createRequire as vmrCreateRequire}from'node:module';",
      "import{fileURLToPath as vmrFileURLToPath}from'node:url';",
      'const require=vmrCreateRequire(import.meta.url),__filename=vmrFileURLToPath(import.meta.url),__dirname=__filename.replace(/\\/[^/]*$/,"");',
    ].join(''),
  },
  logLevel: 'warning',
} as const satisfies BuildOptions
