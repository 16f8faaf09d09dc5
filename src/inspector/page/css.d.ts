/** esbuild takes style sheets that are imported, and puts them beside the script. */
declare module '*.css'
