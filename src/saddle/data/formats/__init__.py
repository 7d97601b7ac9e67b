"""The formats that data are read from: idx files, arrays, tables, folders and zips of images."""
