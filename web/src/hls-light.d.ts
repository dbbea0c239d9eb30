// The light build of hls.js (no subtitles, no encryption, no separate sound) has the interface of the whole one.
declare module 'hls.js/light' {
  export * from 'hls.js'
  export { default } from 'hls.js'
}
