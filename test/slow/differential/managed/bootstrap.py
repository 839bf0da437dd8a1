# What the managed runtime's own /var/runtime/bootstrap.py does before AWS's client takes over: the search path, .pth
# files, PYTHONPATH for child processes. The file's name matters: the client leaves frames of "/bootstrap.py" out.
# Called with the folder that holds the client and with the one that stands for /opt.
import os
import site
import sys

client, layers = sys.argv[1:]
sys.argv[1:] = []
sys.path.append(client)
task = os.environ['LAMBDA_TASK_ROOT']
folders = [task]
if 'PYTHONPATH' not in os.environ:
    folders += ['%s/python/lib/python%d.%d/site-packages' % (layers, *sys.version_info[:2]), layers + '/python']
    sys.path[:0] = folders[1:]
sys.path.insert(0, task)
for folder in folders:
    site.addsitedir(folder)
os.environ.setdefault('PYTHONPATH', os.environ['LAMBDA_RUNTIME_DIR'])
del client, layers, task, folders, folder

from awslambdaric.__main__ import main

# A handler that is not set reaches the managed runtime as an empty string's absence does: KeyError in os.environ.
main([os.environ['LAMBDA_TASK_ROOT'], os.environ['_HANDLER']])
