"""What runs in a process of its own to read one file: PDF, image, Word, web page. Started by reader_process.py."""
