// What is opened from a selection of users, loaded when it is first opened.

export { BulkDialog } from './BulkDialog.tsx';
export { QrSheet } from './QrSheet.tsx';
