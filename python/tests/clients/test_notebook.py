# SPDX-License-Identifier: Apache-2.0
"""Lithops in a notebook: functions and classes of cells, progress bars, errors, await."""
import pytest

nbclient = pytest.importorskip('nbclient')
nbformat = pytest.importorskip('nbformat')
pytest.importorskip('ipykernel')

CELLS = [
    'import lithops, numpy\nfrom lithops.multiprocessing import Pool\nfactor = 3',
    'def scale(x):\n    return x * factor',
    'fexec = lithops.FunctionExecutor()\nfexec.get_result(fexec.map(scale, range(4)))',
    'factor = 10\nfexec.get_result(fexec.map(scale, range(4)))',
    'class Point:\n    def __init__(self, x):\n        self.x = x\n'
    '    def __repr__(self):\n        return f"Point({self.x})"',
    'fexec.get_result(fexec.map(lambda x: Point(x), [1, 2]))',
    'try:\n    fexec.call_async(scale, (None,)).result()\nexcept TypeError:\n    print("a TypeError")',
    'with Pool(2) as pool:\n    print(pool.map(scale, [1, 2]))',
    'float(fexec.call_async(lambda n: numpy.ones(n), (1000000,)).result().sum())',
    'await fexec.call_async(scale, 7)',
]


def run(cells, folder):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name='python3',
                            resources={'metadata': {'path': str(folder)}}).execute()
    return [output_of(cell) for cell in notebook.cells]


def output_of(cell):
    """What a cell shows, without progress bars."""
    texts = []
    for output in cell.outputs:
        if output.output_type == 'execute_result':
            texts.append(output.data['text/plain'])
        elif output.output_type == 'stream' and output.name == 'stdout':
            texts.append(output.text.strip())
    return '\n'.join(texts)


@pytest.fixture(scope='module')
def outputs(tmp_path_factory):
    from ipykernel.kernelspec import install
    kernels = tmp_path_factory.mktemp('jupyter')
    install(prefix=str(kernels))  # one of this environment, whatever else there is
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('JUPYTER_PATH', str(kernels / 'share' / 'jupyter'))
        return run(CELLS, tmp_path_factory.mktemp('notebook'))


def test_functions_of_cells_see_what_later_cells_have_set(outputs):
    assert outputs[2:4] == ['[0, 3, 6, 9]', '[0, 10, 20, 30]']


def test_classes_of_cells(outputs):
    assert outputs[5] == '[Point(1), Point(2)]'


def test_errors_pools_arrays_and_await(outputs):
    assert outputs[6:] == ['a TypeError', '[10, 20]', '1000000.0', '70']
